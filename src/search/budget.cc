#include "search/budget.h"

#include <charconv>
#include <cmath>

namespace esparse {
namespace {

struct Form {
  std::string_view begin, end;  // what stands around the number
  double least, most;           // of the number, both excluded
  double scale;
  std::optional<double> Budget::*field;
  std::string_view example;
};

constexpr double kAny = 1e9;
constexpr Form kForms[] = {{"ppl<=+", "%", 0, kAny, 0.01, &Budget::ppl_rise, "ppl<=+3%"},
                           {"kl<=", "", 0, kAny, 1, &Budget::kl, "kl<=0.02"},
                           {"speedup>=", "", 1, kAny, 1, &Budget::speedup, "speedup>=1.3"},
                           {"bytes<=", "x", 0, 1, 1, &Budget::bytes_share, "bytes<=0.7x"}};

std::optional<double> number_in(std::string_view text, const Form& form) {
  if (!text.starts_with(form.begin) || !text.ends_with(form.end)) return std::nullopt;
  if (text.size() <= form.begin.size() + form.end.size()) return std::nullopt;
  const std::string_view digits = text.substr(form.begin.size(), text.size() - form.begin.size() - form.end.size());
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.find_first_not_of("0123456789.") != std::string_view::npos) return std::nullopt;
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (!(value > form.least && value < form.most)) return std::nullopt;
  return value * form.scale;
}

Status parse_one(std::string_view text, Budget& budget) {
  std::string examples;
  for (const Form& form : kForms) {
    const auto value = number_in(text, form);
    if (value && budget.*form.field)
      return invalid_argument("--budget: {:?}: {} is limited already", text.substr(0, 40),
                              form.begin.substr(0, form.begin.find_first_of("<>")));
    if (value) {
      budget.*form.field = *value;
      return {};
    }
    examples += fmt::format("{}{}", examples.empty() ? "" : ", ", form.example);
  }
  return invalid_argument("--budget: {:?}: expected one of {} (a speedup above 1, a share of the bytes below 1)",
                          text.substr(0, 40), examples);
}

}  // namespace

Result<Budget> Budget::parse(std::span<const std::string> texts) {
  Budget budget;
  if (texts.empty() || texts.size() > 2)
    return invalid_argument("--budget: expected one or two of them, got {}", texts.size());
  for (const std::string& text : texts) ESPARSE_RETURN_IF_ERROR(parse_one(text, budget));
  return budget;
}

std::string Budget::text() const {
  std::string text;
  for (const Form& form : kForms)
    if (const auto& value = this->*form.field)
      text += fmt::format("{}{}{:.10g}{}", text.empty() ? "" : ", ", form.begin, *value / form.scale, form.end);
  return text;
}

}  // namespace esparse

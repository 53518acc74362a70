#include "sparse/spense_pattern.h"

#include <charconv>
#include <cmath>

namespace esparse {
namespace {

// Digits and one point only: std::from_chars alone would take "nan" and "1e1".
std::optional<double> parse_plain(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.find_first_not_of("0123456789.") != std::string_view::npos) return std::nullopt;
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

Result<double> parse_fraction(std::string_view text) {
  const size_t slash = text.find('/');
  const auto above = parse_plain(text.substr(0, slash));
  const auto below = slash == text.npos ? std::optional(1.0) : parse_plain(text.substr(slash + 1));
  if (above && below && *above > 0 && *above < *below) return *above / *below;
  return invalid_argument("{:?}: expected a share between 0 and 1, such as 0.25 or 1/4", text.substr(0, 40));
}

Result<SpensePattern> SpensePattern::parse(std::string_view text) {
  constexpr std::string_view kName = "spense";
  SpensePattern pattern;
  std::string_view rest = text;
  const auto failed = [&](const Status& status) {
    return status.with_context(fmt::format("pattern {:?} (spense[:FRACTION][:N:M])", text.substr(0, 40)));
  };
  if (!is_meant(text)) return failed(invalid_argument("expected a Spense pattern"));
  rest.remove_prefix(kName.size());
  if (rest.empty()) return pattern;
  rest.remove_prefix(1);
  // One colon belongs to N:M; a second one, or none, leaves a fraction in front.
  const size_t first = rest.find(':');
  const bool has_fraction = first == rest.npos || rest.find(':', first + 1) != rest.npos;
  if (has_fraction) {
    auto fraction = parse_fraction(rest.substr(0, first));
    if (!fraction.ok()) return failed(fraction.status());
    pattern.dense_fraction = *fraction;
    if (first == rest.npos) return pattern;
    rest.remove_prefix(first + 1);
  }
  auto nm = NmPattern::parse(rest);
  if (!nm.ok()) return failed(nm.status());
  pattern.nm = *nm;
  return pattern;
}

std::string spense_text(NmPattern nm, double dense_fraction) {
  const std::string text = fmt::format("spense:{}", dense_fraction);
  return nm == NmPattern{} ? text : text + ":" + nm.text();
}

}  // namespace esparse

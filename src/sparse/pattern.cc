#include "sparse/pattern.h"

#include <charconv>
#include <optional>

namespace esparse {
namespace {

// Digits only: std::from_chars alone would take "-1" and stop quietly before "4x".
std::optional<int> parse_count(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

Result<NmPattern> NmPattern::parse(std::string_view text) {
  const size_t colon = text.find(':');
  const auto kept = colon == std::string_view::npos ? std::nullopt : parse_count(text.substr(0, colon));
  const auto group = colon == std::string_view::npos ? std::nullopt : parse_count(text.substr(colon + 1));
  if (!kept || !group) {
    return invalid_argument("pattern {:?}: expected N:M, such as 2:4 (2 kept of every 4 weights)", text.substr(0, 40));
  }
  if (*group > kMaxGroup) return invalid_argument("pattern \"{}\": expected M of at most {}", text, kMaxGroup);
  if (*kept < 1 || *kept >= *group) {
    return invalid_argument("pattern \"{}\": expected 1 <= N < M; N:M means N weights kept of every M, not N removed",
                            text);
  }
  return NmPattern{*kept, *group};
}

std::string NmPattern::text() const { return fmt::format("{}:{}", kept, group); }

}  // namespace esparse

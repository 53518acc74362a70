#include "base/byte_size.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

#include "base/checked.h"

namespace esparse {
namespace {

struct Unit {
  std::string_view name;  // lower case
  int64_t bytes;
};
constexpr std::array kUnits = {
    Unit{"", 1},
    Unit{"b", 1},
    Unit{"kb", 1000},
    Unit{"mb", 1000 * 1000},
    Unit{"gb", 1000 * 1000 * 1000},
    Unit{"tb", int64_t{1000} * 1000 * 1000 * 1000},
    Unit{"k", 1 << 10},
    Unit{"kib", 1 << 10},
    Unit{"m", 1 << 20},
    Unit{"mib", 1 << 20},
    Unit{"g", 1 << 30},
    Unit{"gib", 1 << 30},
    Unit{"t", int64_t{1} << 40},
    Unit{"tib", int64_t{1} << 40},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view take_digits(std::string_view& text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_digit);
  const std::string_view digits = text.substr(0, static_cast<size_t>(end - text.begin()));
  text.remove_prefix(digits.size());
  return digits;
}

// floor(0.<digits> * unit), exact: digits are dealt one by one, as in long division.
int64_t fraction_bytes(std::string_view digits, int64_t unit) {
  constexpr size_t kDigits = 18;  // further ones are below a millionth of a byte in the largest unit
  int64_t value = 0, scale = 1;
  for (const char digit : digits.substr(0, kDigits)) {
    value = value * 10 + (digit - '0');
    scale *= 10;
  }
  return static_cast<int64_t>(static_cast<__int128>(value) * unit / scale);
}

std::optional<int64_t> parse(std::string_view text) {
  const std::string_view whole = take_digits(text);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(text);
    if (fraction.empty()) return std::nullopt;
  }
  int64_t count = 0;
  const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), count);
  if (error != std::errc() || end != whole.data() + whole.size()) return std::nullopt;
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::string name(text);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto unit = std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& known) { return known.name == name; });
  if (unit == kUnits.end()) return std::nullopt;
  const auto bytes = checked_mul(count, unit->bytes);
  return bytes ? checked_add(*bytes, fraction_bytes(fraction, unit->bytes)) : std::nullopt;
}

}  // namespace

Result<int64_t> parse_bytes(std::string_view text) {
  if (const auto bytes = parse(text)) return *bytes;
  return invalid_argument("expected a number of bytes below 2^63, such as 4096, 512MiB or 8GiB, got '{}'", text);
}

std::string format_bytes(int64_t bytes) {
  static constexpr std::array kNames = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kNames.size(); ++unit) value /= 1024;
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : value < 100 ? 1 : 0, kNames[unit]);
}

}  // namespace esparse

// How people write a Spense pattern: spense[:FRACTION][:N:M].
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "sparse/pattern.h"

namespace esparse {

inline constexpr double kDefaultDenseFraction = 0.25;

struct SpensePattern {
  NmPattern nm;                          // of the N:M region
  std::optional<double> dense_fraction;  // of rows or columns; nothing: not said

  // "spense", "spense:0.25", "spense:1/4", "spense:4:8", "spense:1/4:4:8"; without N:M it is 2:4.
  static Result<SpensePattern> parse(std::string_view text);
  static bool is_meant(std::string_view text) { return text == "spense" || text.starts_with("spense:"); }
};

// "spense:0.25", and ":4:8" behind it where it is not 2:4. Parsed again it gives the same.
std::string spense_text(NmPattern nm, double dense_fraction);

// A number between 0 and 1, both excluded: "0.25" or "1/4".
Result<double> parse_fraction(std::string_view text);

}  // namespace esparse

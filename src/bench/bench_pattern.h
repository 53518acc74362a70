// Which weights of a benchmark are kept.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "sparse/pattern.h"

namespace esparse {

struct BenchPattern {
  std::string text;               // as the user wrote it
  std::optional<NmPattern> nm;    // "2:4"
  std::optional<double> density;  // "unstructured:0.5"; neither: "dense"

  bool dense() const { return !nm && !density; }
  // "2:4,unstructured:0.5,dense". Errors name --pattern.
  static Result<std::vector<BenchPattern>> parse_list(std::string_view text);
};

// Sets what the pattern does not keep of row `row` to zero, at random places that depend on the row alone.
void apply_pattern(const BenchPattern& pattern, int64_t row, std::span<float> values);

}  // namespace esparse

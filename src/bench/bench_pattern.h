// Which weights of a benchmark are kept.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "sparse/pattern.h"
#include "sparse/spense_matrix.h"

namespace esparse {

struct BenchPattern {
  std::string text = {};                                // as the user wrote it
  std::optional<NmPattern> nm = std::nullopt;           // "2:4", and the pattern of the N:M region of Spense
  std::optional<double> density = std::nullopt;         // "unstructured:0.5"
  std::optional<double> dense_fraction = std::nullopt;  // "spense:0.25"; none of the three: "dense"

  bool dense() const { return !nm && !density; }
  // Of a Spense weight of that shape, which must have two rows and two columns: the longer side, that of the neurons of
  // an FFN, is the one that is split, in a square one the columns.
  SpenseLayout layout(int64_t out_features, int64_t in_features) const;
  // "2:4,unstructured:0.5,spense:0.25,spense:0.25:4:8,dense". Errors name --pattern.
  static Result<std::vector<BenchPattern>> parse_list(std::string_view text);
};

// Sets what the pattern does not keep of row `row` of `rows` to zero, at random places that depend on the row alone.
void apply_pattern(const BenchPattern& pattern, int64_t rows, int64_t row, std::span<float> values);

}  // namespace esparse

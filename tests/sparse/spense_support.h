// Random weights that obey a Spense layout, packed.
#pragma once

#include <gtest/gtest.h>

#include "sparse/nm_support.h"
#include "sparse/spense_matrix.h"

namespace esparse {

// [out, in]: N:M in the region, no zero in the dense one.
inline std::vector<float> random_spense_weights(const SpenseLayout& layout, int64_t out, int64_t in, int seed) {
  const bool rows = layout.split == SpenseSplit::out;
  const int64_t region_rows = rows ? out - layout.dense : out, region_columns = rows ? in : in - layout.dense;
  const std::vector<float> region = random_nm_weights(layout.pattern, region_rows, region_columns, seed);
  std::mt19937 random(seed + 1000);
  std::normal_distribution<float> normal;
  std::vector<float> weight(out * in);
  for (int64_t row = 0; row < out; ++row)
    for (int64_t column = 0; column < in; ++column)
      weight[row * in + column] =
          row < region_rows && column < region_columns ? region[row * region_columns + column] : normal(random) + 0.01f;
  return weight;
}

inline SpenseMatrix must_pack_spense(const SpenseLayout& layout, DType dtype, std::span<const float> weight,
                                     int64_t out, int64_t in) {
  auto packed = pack_spense(layout, dtype, to_bytes(dtype, weight), out, in);
  EXPECT_TRUE(packed.ok()) << packed.status().message();
  return std::move(packed).value();
}

}  // namespace esparse

// Random unstructured weights, packed.
#pragma once

#include <gtest/gtest.h>

#include "sparse/bitmap_matrix.h"
#include "sparse/nm_support.h"

namespace esparse {

// [out, in]; a share `density` of the values, at random places, is not zero.
inline std::vector<float> random_bitmap_weights(double density, int64_t out_features, int64_t in_features, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<double> uniform;
  std::vector<float> weight(out_features * in_features);
  for (float& value : weight) {
    const float drawn = normal(random) + 0.01f;
    if (uniform(random) < density) value = drawn;
  }
  return weight;
}

inline BitmapMatrix must_pack_bitmap(DType dtype, std::span<const float> weight, int64_t out, int64_t in) {
  auto packed = pack_bitmap(dtype, to_bytes(dtype, weight), out, in);
  EXPECT_TRUE(packed.ok()) << packed.status().message();
  return std::move(packed).value();
}

}  // namespace esparse

// Random weights that obey a pattern, and bytes of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "base/dtype.h"
#include "sparse/nm_matrix.h"

namespace esparse {

inline std::vector<std::byte> to_bytes(DType dtype, std::span<const float> values) {
  std::vector<std::byte> bytes(values.size() * dtype_bytes(dtype));
  convert_from_f32(dtype, values, bytes.data());
  return bytes;
}

// [out, in] with exactly N non-zeros at random places of every group.
inline std::vector<float> random_nm_weights(NmPattern pattern, int64_t out_features, int64_t in_features, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> weight(out_features * in_features);
  std::vector<int> columns(pattern.group);
  std::iota(columns.begin(), columns.end(), 0);
  for (int64_t first = 0; first < static_cast<int64_t>(weight.size()); first += pattern.group) {
    std::shuffle(columns.begin(), columns.end(), random);
    for (int k = 0; k < pattern.kept; ++k) weight[first + columns[k]] = normal(random) + 0.01f;
  }
  return weight;
}

inline NmMatrix must_pack(NmPattern pattern, DType dtype, std::span<const float> weight, int64_t out, int64_t in) {
  auto packed = pack_nm(pattern, dtype, to_bytes(dtype, weight), out, in);
  EXPECT_TRUE(packed.ok()) << packed.status().message();
  return std::move(packed).value();
}

}  // namespace esparse

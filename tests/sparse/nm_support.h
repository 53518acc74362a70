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

// What a group of `width` columns keeps: the least number that is no smaller a share of it than N / M.
inline int kept_reference(NmPattern pattern, int64_t width) {
  int kept = 0;
  while (kept * pattern.group < pattern.kept * width) ++kept;
  return kept;
}

// All in_features up to two full 32-bit groups and a bit, then some around 64-bit words and strips of 512 columns.
inline std::vector<int64_t> all_widths() {
  std::vector<int64_t> widths(70);
  std::iota(widths.begin(), widths.end(), 1);
  for (int64_t wide : {127, 129, 172, 511, 513, 519, 1031}) widths.push_back(wide);
  return widths;
}

// [out, in] with as many non-zeros at random places of every group as the group keeps.
inline std::vector<float> random_nm_weights(NmPattern pattern, int64_t out_features, int64_t in_features, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> weight(out_features * in_features);
  for (int64_t row = 0; row < out_features; ++row)
    for (int64_t first = 0; first < in_features; first += pattern.group) {
      std::vector<int> columns(std::min<int64_t>(pattern.group, in_features - first));
      std::iota(columns.begin(), columns.end(), 0);
      std::shuffle(columns.begin(), columns.end(), random);
      columns.resize(kept_reference(pattern, static_cast<int64_t>(columns.size())));
      for (int column : columns) weight[row * in_features + first + column] = normal(random) + 0.01f;
    }
  return weight;
}

inline NmMatrix must_pack(NmPattern pattern, DType dtype, std::span<const float> weight, int64_t out, int64_t in) {
  auto packed = pack_nm(pattern, dtype, to_bytes(dtype, weight), out, in);
  EXPECT_TRUE(packed.ok()) << packed.status().message();
  return std::move(packed).value();
}

}  // namespace esparse

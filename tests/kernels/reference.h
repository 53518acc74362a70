// Plain loops in double: what the kernels are compared with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/dtype.h"
#include "base/matrix.h"
#include "sparse/nm_matrix.h"

namespace esparse::testing_support {

inline std::vector<float> random_values(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(static_cast<double>(random() >> 11) * 0x1p-52 - 1.0);
  return values;
}

inline Matrix<float> random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix<float> matrix(rows, cols);
  const auto values = random_values(rows * cols, seed);
  std::copy(values.begin(), values.end(), matrix.data());
  return matrix;
}

inline std::vector<std::byte> stored(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * dtype_bytes(dtype));
  convert_from_f32(dtype, values, bytes.data());
  return bytes;
}

// The values as they are after being stored: what the kernels really multiply.
inline std::vector<float> rounded(DType dtype, const std::vector<float>& values) {
  std::vector<float> result(values.size());
  convert_to_f32(dtype, stored(dtype, values).data(), result);
  return result;
}

// Zeroes all but N of every M consecutive values of a row, at positions that vary with the group. A shorter last group
// keeps the least number that is no smaller a share of it.
inline void make_nm(std::vector<float>& values, int64_t columns, NmPattern pattern, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (size_t row = 0; row < values.size(); row += columns)
    for (int64_t group = 0; group < columns; group += pattern.group) {
      const auto width = static_cast<int>(std::min<int64_t>(pattern.group, columns - group));
      std::vector<int> positions(width);
      for (int k = 0; k < width; ++k) positions[k] = k;
      for (int k = width - 1; k > 0; --k) std::swap(positions[k], positions[random() % (k + 1)]);
      for (int k = 0; k < width; ++k)
        if (k * pattern.group >= pattern.kept * width) values[row + group + positions[k]] = 0.0f;
    }
}

struct DotReference {
  double value = 0;
  double magnitude = 0;  // sum |a_i b_i|: rounding errors scale with it
};

inline DotReference dot_reference(const float* a, const float* b, int64_t count) {
  DotReference result;
  for (int64_t i = 0; i < count; ++i) {
    result.value += static_cast<double>(a[i]) * b[i];
    result.magnitude += std::abs(static_cast<double>(a[i]) * b[i]);
  }
  return result;
}

// f32 sums of n products in any order are off by at most about n eps; a blocked order is far better, so count / 8 + 8.
inline double dot_tolerance(const DotReference& reference, int64_t count) {
  return (static_cast<double>(count) / 8 + 8) * 0x1p-24 * reference.magnitude + 1e-30;
}

}  // namespace esparse::testing_support

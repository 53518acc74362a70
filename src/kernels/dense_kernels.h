// The kernels of dense weights and a few tokens; kernels/isa.h chooses one table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/isa.h"

namespace esparse {

inline constexpr int64_t kMaxDenseTokens = 16;

// y[t, r] = sum_k weight[r, k] * x[t, k] + bias[r] for 1 to kMaxDenseTokens tokens.
struct FewDenseJob {
  DType dtype = DType::f32;           // f32, f16 or bf16
  const std::byte* weight = nullptr;  // unaligned
  int64_t row_bytes = 0;              // from one row of the weight to the next
  int64_t rows = 0;
  int64_t in_features = 0;
  const float* x = nullptr;
  int64_t x_stride = 0;  // floats from one token to the next
  int64_t tokens = 0;
  const float* bias = nullptr;  // [rows], or null
  float* y = nullptr;
  int64_t y_stride = 0;  // floats from one token to the next
};

struct DenseKernels {
  const char* isa;
  void (*multiply)(const FewDenseJob& job);
};

extern const DenseKernels kPortableDenseKernels;

template <>
std::span<const TableEntry<DenseKernels>> all_tables<DenseKernels>();

}  // namespace esparse

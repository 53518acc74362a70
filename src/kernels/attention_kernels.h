// The inner loops of attention over keys and values of any stored type; kernels/isa.h chooses one table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/dense_kernels.h"
#include "kernels/isa.h"

namespace esparse {

inline constexpr int64_t kMaxAttentionRows = kMaxDenseTokens;

// One to kMaxAttentionRows query rows over a range of the keys that they share.
struct AttentionJob {
  DType dtype = DType::f32;  // of keys and values: f32, f16 or bf16
  const std::byte* keys = nullptr;
  const std::byte* values = nullptr;
  int64_t row_bytes = 0;  // from one key (or value) to the next
  int64_t count = 0;      // keys in the range
  int64_t head_dim = 0;
  const float* q = nullptr;  // [rows, head_dim], scaled
  int64_t rows = 0;
  const int64_t* from = nullptr;  // [rows]: row r sees the keys from[r] ... to[r] - 1 of the range
  const int64_t* to = nullptr;
  // Results: out [rows, head_dim] = sum of exp(score - maximum) * value, sum [rows] = that of the exponentials,
  // maximum [rows]; -infinity, zeros and zero for a row that sees none. Start values do not matter.
  float* out = nullptr;
  float* maximum = nullptr;
  float* sum = nullptr;
};

struct AttentionKernels {
  const char* isa;
  void (*attend)(const AttentionJob& job);
  // One step of a running softmax, for count >= 1 further scores: each becomes exp(score - maximum) of the new maximum,
  // and `sum` counts them in. What was summed before must be multiplied with the result.
  float (*softmax_step)(float* scores, int64_t count, float* maximum, float* sum);
  // target[i] = source[i] as dtype (f32, f16, bf16), to nearest; target unaligned.
  void (*narrow)(DType dtype, const float* source, std::byte* target, int64_t count);
};

extern const AttentionKernels kPortableAttentionKernels;

template <>
std::span<const TableEntry<AttentionKernels>> all_tables<AttentionKernels>();

}  // namespace esparse

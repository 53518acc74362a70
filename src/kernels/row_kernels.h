// The inner loops that differ by instruction set, on single rows of a weight; kernels/isa.h chooses one table.
// All accumulate in f32. Each table gives the same bits for the same input on every machine that runs it; two tables
// differ in the order of accumulation, so their results agree only to rounding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/isa.h"
#include "sparse/bit_rows.h"

namespace esparse {

struct RowKernels {
  const char* isa;

  // target[i] = source element i as f32; dtype is f32, f16 or bf16, source unaligned.
  void (*widen)(DType dtype, const std::byte* source, float* target, int64_t count);
  // sum_i a[i] * b[i]
  float (*dot)(const float* a, const float* b, int64_t count);
  // target[0, in_features) = row `row` of a packed matrix as f32, zeros where nothing is kept.
  void (*expand_bits)(const BitRowsView& packed, int64_t row, float* target);
};

extern const RowKernels kPortableRowKernels;

template <>
std::span<const TableEntry<RowKernels>> all_tables<RowKernels>();
inline const RowKernels& row_kernels() { return kernels<RowKernels>(); }

}  // namespace esparse

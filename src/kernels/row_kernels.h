// The inner loops that differ by instruction set, on single rows of a weight; kernels/dispatch.cc chooses one table.
// All accumulate in f32. Each table gives the same bits for the same input on every machine that runs it; two tables
// differ in the order of accumulation, so their results agree only to rounding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "sparse/nm_matrix.h"

namespace esparse {

struct RowKernels {
  const char* isa;

  // target[i] = source element i as f32; dtype is f32, f16 or bf16, source unaligned.
  void (*widen)(DType dtype, const std::byte* source, float* target, int64_t count);
  // sum_i a[i] * b[i]
  float (*dot)(const float* a, const float* b, int64_t count);
  // sum_i weight[i] * x[i], the weight in its stored type: one row of a decode step, bound by reading the weight.
  float (*dot_dense)(DType dtype, const std::byte* weight, const float* x, int64_t count);
  // target[0, in_features) = row `row` of a packed matrix as f32, zeros where nothing is kept.
  void (*expand_nm)(const NmView& packed, int64_t row, float* target);
  // sum over kept weights of row `row` times x.
  float (*dot_nm)(const NmView& packed, int64_t row, const float* x);
  // target[i] += scale * source[i]
  void (*add_scaled)(float scale, const float* source, float* target, int64_t count);
};

extern const RowKernels kPortableRowKernels;

// nullptr when this build or this CPU has no such instructions.
const RowKernels* avx2_row_kernels();

// The best table of this machine; ESPARSE_ISA=portable|avx2 in the environment forces one (an unknown or unavailable
// name is ignored here and refused by check_isa_choice). Chosen once.
const RowKernels& row_kernels();

// Whether ESPARSE_ISA can be honoured; the error lists what this machine has.
class Status;
Status check_isa_choice();

}  // namespace esparse

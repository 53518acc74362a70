// y = x W^T + b for many tokens and a dense bf16 weight by oneDNN's bf16 product, on processors with AVX-512 BF16.
#pragma once

#include <span>

#include "base/matrix.h"
#include "kernels/weight.h"

namespace esparse {

// Whether this machine and the instruction set in use have it: current_isa() is avx512_bf16 and oneDNN's matmul is more
// than its plain reference.
bool has_bf16_gemm();

// As dense_gemm(), for bf16 weights, but x is rounded to bf16 first (to nearest: relative error up to 2^-8 an input);
// the products are exact, the sums f32, and subnormal bf16 count as zero. A dense weight is read as it stands, of
// others 256 rows at a time are expanded into a buffer of the thread; oneDNN keeps the primitives of the last shapes.
// False, with y unspecified, where has_bf16_gemm() is, for a weight that is not bf16, is dense at an odd address or
// stands in tiles of 2:4, and when oneDNN refuses. Same bits for every thread count.
bool bf16_gemm(const WeightView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y);

}  // namespace esparse

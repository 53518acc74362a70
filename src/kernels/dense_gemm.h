// y = x W^T + b for many tokens by a dense matrix product, whatever form the weight has.
#pragma once

#include <span>

#include "base/matrix.h"
#include "kernels/weight.h"

namespace esparse {

enum class Into { replace, add };  // whether y becomes the product, or grows by it

// x [tokens, in_features], y [tokens, out_features], bias [out_features] or empty. Tiles of rows are widened or
// expanded to f32 and multiplied by oneDNN's sgemm, so that the resident weight stays the only copy. f32 accumulation.
// Where has_bf16_gemm() (kernels/bf16_gemm.h), a dense bf16 weight goes through oneDNN's bf16 product instead, which
// rounds x to bf16.
// Same bits for every thread count. Into::add is for any weight but Spense.
void dense_gemm(const WeightView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y,
                Into into = Into::replace);

}  // namespace esparse

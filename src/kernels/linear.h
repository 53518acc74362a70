// y = x W^T + b for dense and packed weights.
#pragma once

#include <span>

#include "base/matrix.h"
#include "kernels/weight.h"

namespace esparse {

// x [tokens, in_features], y [tokens, out_features], bias [out_features] or empty; y must not overlap x.
// Few tokens: every weight row is read once and multiplied with all of them (bound by reading W).
// More: tiles of rows are widened or expanded to f32 and multiplied by oneDNN's sgemm, so that one resident
// copy of the weight serves both. f32 accumulation. Same bits for every thread count.
void linear(const WeightView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y);

}  // namespace esparse

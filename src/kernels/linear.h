// y = x W^T + b for every form of weight.
#pragma once

#include <span>

#include "base/matrix.h"
#include "kernels/linear_plan.h"
#include "kernels/weight.h"

namespace esparse {

// x [tokens, in_features], y [tokens, out_features], bias [out_features] or empty; y must not overlap x. Goes the way
// that `plan` names for this number of tokens; one resident copy of the weight serves all of them. f32 accumulation.
// Same bits for every thread count.
void linear(const WeightView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y,
            const LinearPlan& plan);
// The same with default_plan().
void linear(const WeightView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y);

}  // namespace esparse

// Several linears that read the same input, in one parallel region: at decode a region costs 2 to 10 microseconds, and
// a layer of a 1B model takes about 500.
#pragma once

#include <span>

#include "base/matrix.h"
#include "kernels/linear_plan.h"
#include "kernels/weight.h"

namespace esparse {

// y [tokens, out_features] = x W^T + bias, the way that `plan` names.
struct LinearTask {
  const WeightView* weight = nullptr;
  std::span<const float> bias;  // [out_features] or empty
  MatrixView<float> y;
  const LinearPlan* plan = nullptr;
};

// The same bits as linear() for each task. Those on the path `few` share a region; the others follow one by one.
void linear_group(std::span<const LinearTask> tasks, MatrixView<const float> x);

// gate.y = silu(gate.y) * up.y of both linears, all in one region on the path `few`. up.y is scratch.
void gated_linear(const LinearTask& gate, const LinearTask& up, MatrixView<const float> x);

}  // namespace esparse

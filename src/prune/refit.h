// Refit: the weights with which the pruned model's inputs come closest to the dense model's outputs, before anything of
// this layer is pruned (docs/methods/refit.md).
#pragma once

#include "base/matrix.h"
#include "base/status.h"
#include "calibrate/statistics.h"

namespace esparse {

// argmin over W' of sum |W' x - W x_dense - (r_dense - r)|^2 + lambda |W' - W|^2, lambda = damping * mean diagonal of
// gram:  W' = (W (cross + lambda I) + residual) (gram + lambda I)^-1. weight [out, in]; statistics with gram and cross;
// the residual is used when `use_residual` and there is one. Walks the damping ladder; refuses what it cannot solve.
Result<Matrix<float>> refit_weight(MatrixView<const float> weight, const InputStatistics& statistics, double damping,
                                   bool use_residual);

}  // namespace esparse

// Mask and update of one linear, in the order of channels that the shuffle chose.
#pragma once

#include "base/matrix.h"
#include "base/status.h"
#include "calibrate/statistics.h"
#include "prune/recipe.h"

namespace esparse {

class PruneAccelerator;

// What the linears of one site share, in the new order.
struct UpdateContext {
  Matrix<float> gram;                       // [in, in] without damping; empty when no update needs it
  Matrix<float> upper;                      // [in, in] upper factor of its damped inverse; empty when nothing needs it
  double damping = 0;                       // that the factor needed, relative
  InputStatistics channels;                 // sums and squares only
  PruneAccelerator* accelerator = nullptr;  // null: the CPU
};

// Prunes the first `columns` columns of `weight` [out, in] in place to the recipe's target (the pattern of the N:M
// region for spense); those behind them stay dense, and OBS, ADMM and descent let them make up for what was removed.
// scores [out, in] are the saliency. Returns the exchanges that dsnot made. `target`: what the outputs should be, [out,
// in].
Result<int64_t> update_linear(const LinearRecipe& recipe, const UpdateContext& context, MatrixView<const float> scores,
                              MatrixView<const float> target, int64_t columns, MatrixView<float> weight);

}  // namespace esparse

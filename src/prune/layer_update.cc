#include "prune/layer_update.h"

#include <algorithm>

#include "linalg/inverse_factor.h"
#include "prune/accelerator.h"
#include "prune/admm.h"
#include "prune/descent.h"
#include "prune/obs.h"
#include "prune/pruned_part.h"

namespace esparse {
namespace {

// Unstructured masks keep their counts in so many neighbouring columns while descent moves weights.
constexpr int kUnstructuredGroup = 32;

void apply_mask(MatrixView<const uint8_t> mask, MatrixView<float> weight) {
  for (int64_t i = 0; i < weight.rows; ++i)
    for (int64_t k = 0; k < weight.cols; ++k)
      if (mask(i, k) == 0) weight(i, k) = 0.0f;
}

// On the accelerator where there is one, but for unstructured masks that the sweep chooses: those rank all rows.
Status sweep(const LinearRecipe& recipe, const UpdateContext& context, MatrixView<const float> scores, int64_t columns,
             MatrixView<float> weight, MatrixView<uint8_t> mask) {
  const PruneTarget target = recipe.target.of_pruned_part();
  const auto u = context.upper.view();
  if (!recipe.saliency->needs.gram) {  // another saliency has chosen the mask
    make_leading_mask(scores, target, columns, mask);
    if (context.accelerator != nullptr)
      return context.accelerator->obs_sweep(weight, u, std::nullopt, mask, weight.cols).status();
    obs_sweep_masked(weight, u, mask);
  } else if (target.kind == TargetKind::nm) {
    if (context.accelerator != nullptr)
      return context.accelerator->obs_sweep(weight, u, target.pattern, mask, columns).status();
    obs_sweep(weight, u, target.pattern, mask, columns);
  } else {
    obs_sweep(weight, u, target.sparsity, mask);
  }
  return {};
}

// ALPS finds the mask itself. More damping where the gram needs it, as the factor ladder does.
Status admm(const LinearRecipe& recipe, const UpdateContext& context, int64_t columns, MatrixView<float> weight,
            MatrixView<uint8_t> mask) {
  const PruneTarget target = recipe.target.of_pruned_part();
  for (double damping = std::max(context.damping, 1e-6);; damping *= 10) {
    const AlpsOptions options{.damping = damping};
    const auto report = target.kind == TargetKind::nm
                            ? alps(weight, context.gram, target.pattern, columns, mask, options)
                            : alps(weight, context.gram, target.sparsity, mask, options);
    if (report.ok()) return {};
    if (damping >= 1) return report.status();
  }
}

// Only the columns that are pruned can be exchanged; what the others add to the outputs does not change.
int64_t exchange(const LinearRecipe& recipe, const UpdateContext& context, MatrixView<const float> weight,
                 MatrixView<uint8_t> mask) {
  InputStatistics channels;
  channels.sequences = context.channels.sequences;
  channels.tokens = context.channels.tokens;
  channels.sum.assign(context.channels.sum.begin(), context.channels.sum.begin() + weight.cols);
  channels.sum_squares.assign(context.channels.sum_squares.begin(), context.channels.sum_squares.begin() + weight.cols);
  Matrix<float> wanda(weight.rows, weight.cols);
  (*find_saliency("wanda"))->score(weight, channels, recipe.saliency_options, wanda.view());
  return dsnot_refine(weight, channels, wanda.view(), recipe.target.of_pruned_part(), recipe.dsnot, mask);
}

void descend(const LinearRecipe& recipe, const UpdateContext& context, MatrixView<const float> target, int64_t columns,
             MatrixView<float> weight, MatrixView<uint8_t> mask) {
  Matrix<float> hessian = context.gram;
  const double damp = context.damping * mean_diagonal(hessian.view());
  for (int64_t j = 0; j < hessian.rows(); ++j)
    hessian(j, j) = hessian(j, j) > 0 ? static_cast<float>(hessian(j, j) + damp) : 1.0f;
  const int group = recipe.target.kind == TargetKind::unstructured ? kUnstructuredGroup : recipe.target.pattern.group;
  group_descent(target, hessian.view(), group, columns, {.max_sweeps = recipe.sweeps}, weight, mask);
}

}  // namespace

Result<int64_t> update_linear(const LinearRecipe& recipe, const UpdateContext& context, MatrixView<const float> scores,
                              MatrixView<const float> target, int64_t columns, MatrixView<float> weight) {
  Matrix<uint8_t> mask(weight.rows, weight.cols);
  int64_t exchanges = 0;
  switch (recipe.update.mask_update) {
    case MaskUpdate::obs:
      ESPARSE_RETURN_IF_ERROR(sweep(recipe, context, scores, columns, weight, mask.view()));
      break;
    case MaskUpdate::admm:
      ESPARSE_RETURN_IF_ERROR(admm(recipe, context, columns, weight, mask.view()));
      break;
    case MaskUpdate::dsnot:
    case MaskUpdate::none:
      make_leading_mask(scores, recipe.target, columns, mask.view());
      if (recipe.update.mask_update == MaskUpdate::dsnot)
        exchanges = exchange(recipe, context, weight.cols_from(0, columns), mask.view().cols_from(0, columns));
      apply_mask(mask.view(), weight);
      break;
  }
  if (recipe.update.descent) descend(recipe, context, target, columns, weight, mask.view());
  return exchanges;
}

}  // namespace esparse

#include "prune/layer_problem.h"

#include <algorithm>
#include <cmath>

#include "linalg/inverse_factor.h"
#include "prune/accelerator.h"
#include "prune/layer_order.h"
#include "prune/layer_quality.h"
#include "prune/layer_update.h"
#include "prune/pruned_part.h"
#include "prune/refit.h"

namespace esparse {
namespace {

bool all_finite(const Matrix<float>& matrix) {
  return std::ranges::all_of(matrix.values(), [](float value) { return std::isfinite(value); });
}

// A channel whose inputs are all zero says nothing and gets nothing.
void zero_dead_channels(const Matrix<float>& gram, Matrix<float>& weight) {
  for (int64_t j = 0; j < gram.cols(); ++j) {
    if (gram(j, j) > 0) continue;
    for (int64_t i = 0; i < weight.rows(); ++i) weight(i, j) = 0.0f;
  }
}

Matrix<float> permute_both(const Matrix<float>& gram, const ChannelOrder& order) {
  if (order.empty()) return gram;
  Matrix<float> result(gram.rows(), gram.cols());
  for (int64_t i = 0; i < gram.rows(); ++i)
    for (int64_t k = 0; k < gram.cols(); ++k) result(i, k) = gram(order[i], order[k]);
  return result;
}

std::vector<double> permute(const std::vector<double>& values, const ChannelOrder& order) {
  if (order.empty() || values.empty()) return values;
  std::vector<double> result(values.size());
  for (size_t k = 0; k < values.size(); ++k) result[k] = values[order[k]];
  return result;
}

class LayerSolver {
 public:
  explicit LayerSolver(LayerProblem problem) : problem_(std::move(problem)), statistics_(problem_.statistics) {
    for (const LinearProblem& linear : problem_.linears)
      if (linear.recipe.prunes()) pruned_.push_back(&linear);
  }

  Result<LayerSolution> solve() {
    LayerSolution solution;
    plain_order_ = plain_order(problem_.last_channels, problem_.linears[0].weight.cols());
    order_ = plain_order_;
    if (!pruned_.empty()) {
      ESPARSE_RETURN_IF_ERROR(make_targets());
      ESPARSE_RETURN_IF_ERROR(make_scores());
      ESPARSE_RETURN_IF_ERROR(find_order());
      ESPARSE_RETURN_IF_ERROR(make_context());
    }
    size_t next = 0;
    for (const LinearProblem& linear : problem_.linears) {
      if (linear.recipe.prunes()) {
        auto solved = prune(linear, next++);
        if (!solved.ok()) return solved.status().with_context(linear.name);
        solution.linears.push_back(std::move(solved).value());
      } else {
        solution.linears.emplace_back().weight = linear.weight;
      }
    }
    solution.order = std::move(order_);
    solution.shuffle = shares_;
    return solution;
  }

 private:
  const LinearRecipe& recipe() const { return pruned_[0]->recipe; }  // for what they agree on

  // What the outputs should be: those of the dense weights, or of the refitted ones.
  Status make_targets() {
    for (const LinearProblem* linear : pruned_) {
      if (linear->recipe.update.refit) {
        const bool residual = linear->recipe.residual && statistics_.residual.rows() == linear->weight.rows();
        auto fitted = refit_weight(linear->weight.view(), statistics_, linear->recipe.refit_damping, residual);
        if (!fitted.ok()) return fitted.status().with_context(linear->name);
        targets_.push_back(std::move(fitted).value());
      } else {
        targets_.push_back(linear->weight);
      }
      if (linear->recipe.update.needs_gram()) zero_dead_channels(statistics_.gram, targets_.back());
    }
    statistics_.cross = {};
    statistics_.residual = {};
    return {};
  }

  Status make_scores() {
    const bool obs = std::ranges::any_of(pruned_, [](auto* linear) { return linear->recipe.saliency->needs.gram; });
    if (obs) {
      ESPARSE_ASSIGN_OR_RETURN(InverseFactor factor, inverse_cholesky_upper_ladder(statistics_.gram, recipe().damping));
      statistics_.inverse_diagonal = inverse_diagonal(factor.u);
      context_.damping = factor.damping;
      if (!recipe().shuffles() && plain_order_.empty()) context_.upper = std::move(factor.u);
    }
    for (size_t index = 0; index < pruned_.size(); ++index) {
      const LinearRecipe& own = pruned_[index]->recipe;
      scores_.emplace_back(targets_[index].rows(), targets_[index].cols());
      own.saliency->score(targets_[index].view(), statistics_, own.saliency_options, scores_.back().view());
    }
    return {};
  }

  Status find_order() {
    if (recipe().shuffles()) {
      std::vector<Matrix<float>> searched;  // rows that stay dense have no wishes
      for (size_t index = 0; index < pruned_.size(); ++index)
        searched.push_back(take_rows(scores_[index].view(), part_of(*pruned_[index]).rows));
      ShuffleResult found = find_layer_order(searched, problem_.freedom, problem_.last_channels,
                                             recipe().target.pattern, recipe().shuffle, problem_.accelerator);
      if (problem_.accelerator != nullptr) ESPARSE_RETURN_IF_ERROR(problem_.accelerator->shuffle_failure());
      order_ = std::move(found.order);
      shares_ = {found.retained_identity, found.retained, found.retained_on_searched_rows};
    }
    for (Matrix<float>& scores : scores_) scores = permute_columns<float>(scores.view(), order_);
    return {};
  }

  PrunedPart part_of(const LinearProblem& linear) const { return pruned_part(problem_, linear); }

  // Gram, factor and channel sums in the new order.
  Status make_context() {
    context_.accelerator = problem_.accelerator;
    context_.channels.sequences = statistics_.sequences;
    context_.channels.tokens = statistics_.tokens;
    context_.channels.sum = permute(statistics_.sum, order_);
    context_.channels.sum_squares = permute(statistics_.sum_squares, order_);
    const auto some = [&](auto&& reads) {
      return std::ranges::any_of(pruned_, [&](auto* l) { return reads(l->recipe.update); });
    };
    if (!some([](const UpdateSteps& update) { return update.needs_ordered_gram(); })) return {};
    context_.gram = permute_both(statistics_.gram, order_);
    statistics_.gram = {};
    if (context_.upper.rows() > 0 ||
        !some([](const UpdateSteps& update) { return update.mask_update == MaskUpdate::obs; })) {
      if (context_.damping == 0) context_.damping = recipe().damping;
      return {};
    }
    ESPARSE_ASSIGN_OR_RETURN(InverseFactor factor, inverse_cholesky_upper_ladder(context_.gram, recipe().damping));
    context_.upper = std::move(factor.u);
    context_.damping = factor.damping;
    return {};
  }

  Result<LinearSolution> prune(const LinearProblem& linear, size_t index) {
    const LinearRecipe& own = linear.recipe;
    const PrunedPart part = part_of(linear);
    LinearSolution solution;
    solution.retained = retained_share(scores_[index].view(), own.target, part);
    if (own.needs().gram) solution.damping = context_.damping;
    if (linear.keep_scores) solution.scores = scores_[index];
    Matrix<float> all = permute_columns<float>(targets_[index].view(), order_);
    const Matrix<float> target = take_rows(all.view(), part.rows), scores = take_rows(scores_[index].view(), part.rows);
    Matrix<float> weight = target;
    ESPARSE_ASSIGN_OR_RETURN(solution.exchanges,
                             update_linear(own, context_, scores.view(), target.view(), part.columns, weight.view()));
    put_rows(weight, part.rows, all.view());
    if (!all_finite(all)) return numeric_error("the {} update gave values that are not finite", own.update.text());
    solution.weight = restore_columns<float>(all.view(), order_);
    const auto sample = problem_.statistics.sample.view();
    if (sample.rows > 0) {
      solution.output_error = output_error(sample, solution.weight.view(), targets_[index].view());
      const Matrix<float> by_magnitude = prune_by_magnitude(linear.weight.view(), own.target, part, plain_order_);
      solution.magnitude_error = output_error(sample, by_magnitude.view(), targets_[index].view());
    }
    return solution;
  }

  LayerProblem problem_;
  InputStatistics& statistics_;
  std::vector<const LinearProblem*> pruned_;
  std::vector<Matrix<float>> targets_, scores_;  // per pruned linear; scores in the new order after find_order()
  ChannelOrder plain_order_;                     // without a shuffle
  ChannelOrder order_;
  std::optional<ShuffleShares> shares_;
  UpdateContext context_;
};

}  // namespace

PrunedPart pruned_part(const LayerProblem& problem, const LinearProblem& linear) {
  const bool by_columns = linear.recipe.target.kind == TargetKind::spense && linear.dense_rows.empty();
  ESPARSE_CHECK(!by_columns || !problem.last_channels.empty());
  const auto dense_columns = by_columns ? static_cast<int64_t>(problem.last_channels.size()) : 0;
  return {linear.weight.rows(), linear.dense_rows, linear.weight.cols() - dense_columns};
}

Result<LayerSolution> solve_layer(LayerProblem problem) { return LayerSolver(std::move(problem)).solve(); }

Status check_site_agrees(const std::vector<LinearRecipe>& recipes) {
  const LinearRecipe* first = nullptr;
  for (const LinearRecipe& recipe : recipes) {
    if (!recipe.prunes()) continue;
    if (first == nullptr) first = &recipe;
    const auto differ = [](std::string_view what) {
      return invalid_argument(
          "linears that read one input share one channel order and its statistics, so their "
          "settings must agree: '{}' differs",
          what);
    };
    if (!(recipe.shuffle == first->shuffle)) return differ("shuffle");
    if (recipe.shuffles() && !(recipe.target == first->target)) return differ("pattern");
    if (recipe.damping != first->damping) return differ("damping");
    if (!(recipe.entropy_range == first->entropy_range)) return differ("entropy_range");
    if (recipe.entropy_bins != first->entropy_bins) return differ("bins");
  }
  return {};
}

}  // namespace esparse

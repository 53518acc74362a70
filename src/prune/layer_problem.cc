#include "prune/layer_problem.h"

#include <algorithm>

#include "prune/mask.h"

namespace esparse {
namespace {

double total(MatrixView<const float> matrix) {
  double sum = 0;
  for (int64_t i = 0; i < matrix.rows; ++i)
    for (float value : matrix.row(i)) sum += value;
  return sum;
}

// The rows of all linears one below the other, each divided by its own mean so that none drowns the others.
Matrix<float> stack_normalised(const std::vector<Matrix<float>>& parts) {
  int64_t rows = 0;
  for (const auto& part : parts) rows += part.rows();
  Matrix<float> stacked(rows, parts[0].cols());
  int64_t at = 0;
  for (const auto& part : parts) {
    const double sum = total(part.view());
    const double scale = sum > 0 ? static_cast<double>(part.rows() * part.cols()) / sum : 0.0;
    for (int64_t i = 0; i < part.rows(); ++i, ++at)
      for (int64_t j = 0; j < part.cols(); ++j) stacked(at, j) = static_cast<float>(part(i, j) * scale);
  }
  return stacked;
}

// One order per KV head, found on the slices of its query heads one below the other, repeated for each of them.
ChannelOrder per_head_order(const Matrix<float>& saliency, const OrderFreedom& freedom, const Recipe& recipe) {
  const int64_t width = saliency.cols() / freedom.num_heads, shared = freedom.num_heads / freedom.num_kv_heads;
  if (width % recipe.pattern.group != 0) return identity_order(saliency.cols());
  ChannelOrder order;
  for (int64_t kv_head = 0; kv_head < freedom.num_kv_heads; ++kv_head) {
    Matrix<float> slices(saliency.rows() * shared, width);
    for (int64_t s = 0; s < shared; ++s)
      for (int64_t i = 0; i < saliency.rows(); ++i) {
        const auto slice = saliency.row(i).subspan((kv_head * shared + s) * width, width);
        std::copy(slice.begin(), slice.end(), slices.row(s * saliency.rows() + i).begin());
      }
    const ChannelOrder within = find_channel_order(slices.view(), recipe.pattern, recipe.shuffle);
    for (int64_t s = 0; s < shared; ++s)
      for (int32_t channel : within) order.push_back(static_cast<int32_t>((kv_head * shared + s) * width + channel));
  }
  return order;
}

Matrix<float> permute_columns(const Matrix<float>& matrix, const ChannelOrder& order) {
  Matrix<float> result(matrix.rows(), matrix.cols());
  for (int64_t i = 0; i < matrix.rows(); ++i)
    for (int64_t k = 0; k < matrix.cols(); ++k) result(i, k) = matrix(i, order[k]);
  return result;
}

double retained_share(const Matrix<float>& saliency, const Matrix<uint8_t>& mask) {
  double kept = 0;
  for (int64_t i = 0; i < mask.rows(); ++i)
    for (int64_t k = 0; k < mask.cols(); ++k)
      if (mask(i, k) != 0) kept += saliency(i, k);
  const double all = total(saliency.view());
  return all > 0 ? kept / all : 1.0;
}

}  // namespace

LayerSolution solve_layer(const LayerProblem& problem, const Recipe& recipe) {
  std::vector<Matrix<float>> saliency;
  for (const auto& weight : problem.weights) {
    saliency.emplace_back(weight.rows(), weight.cols());
    recipe.saliency->score(weight.view(), problem.statistics, recipe.saliency_options, saliency.back().view());
  }
  LayerSolution solution;
  if (recipe.shuffle.global || recipe.shuffle.local) {
    const Matrix<float> stacked = stack_normalised(saliency);
    solution.order = problem.freedom.num_heads > 1 ? per_head_order(stacked, problem.freedom, recipe)
                                                   : find_channel_order(stacked.view(), recipe.pattern, recipe.shuffle);
    for (auto& scores : saliency) scores = permute_columns(scores, solution.order);
  }
  for (const auto& scores : saliency) {
    solution.masks.emplace_back(scores.rows(), scores.cols());
    nm_mask(scores.view(), recipe.pattern, solution.masks.back().view());
    solution.retained.push_back(retained_share(scores, solution.masks.back()));
  }
  return solution;
}

}  // namespace esparse

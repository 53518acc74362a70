#include "prune/dense_selection.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "linalg/inverse_factor.h"
#include "prune/mask.h"
#include "prune/obs.h"

namespace esparse {
namespace {

struct NamedSelection {
  DenseSelection selection;
  std::string_view name;
};
constexpr std::array kSelections = {
    NamedSelection{DenseSelection::norm, "norm"}, NamedSelection{DenseSelection::tail, "tail"},
    NamedSelection{DenseSelection::drop, "drop"}, NamedSelection{DenseSelection::loss, "loss"},
    NamedSelection{DenseSelection::random, "random"}};

// Sums of value(i, j) over the rows or the columns of a matrix, in a fixed order.
template <typename Value>
std::vector<double> sums_along(SpenseSplit split, int64_t rows, int64_t cols, Value&& value) {
  std::vector<double> sums(static_cast<size_t>(split == SpenseSplit::out ? rows : cols));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) sums[split == SpenseSplit::out ? i : j] += value(i, j);
  return sums;
}

// (1/K) sum |W_ij| sqrt(H_jj), SpenseGPT+.
std::vector<double> norm_scores(const SelectionVote& vote) {
  const std::vector<double> norms = input_norms(*vote.statistics, NormReduction::total);
  const auto summands = static_cast<double>(vote.split == SpenseSplit::out ? vote.weight.cols : vote.weight.rows);
  return sums_along(vote.split, vote.weight.rows, vote.weight.cols, [&](int64_t i, int64_t j) {
    return std::fabs(static_cast<double>(vote.weight(i, j))) * norms[j] / summands;
  });
}

Result<std::vector<double>> drop_scores(const SelectionVote& vote) {
  InputStatistics statistics;
  statistics.sequences = vote.statistics->sequences;
  statistics.tokens = vote.statistics->tokens;
  statistics.sum_squares = vote.statistics->sum_squares;
  statistics.entropy = vote.statistics->entropy;
  if (vote.saliency->needs.gram) {
    ESPARSE_ASSIGN_OR_RETURN(const InverseFactor factor,
                             inverse_cholesky_upper_ladder(vote.statistics->gram, vote.damping));
    statistics.inverse_diagonal = inverse_diagonal(factor.u);
  }
  Matrix<float> scores(vote.weight.rows, vote.weight.cols);
  vote.saliency->score(vote.weight, statistics, vote.saliency_options, scores.view());
  Matrix<uint8_t> mask(vote.weight.rows, vote.weight.cols);
  nm_mask(scores.view(), vote.pattern, mask.view());
  return sums_along(vote.split, scores.rows(), scores.cols(),
                    [&](int64_t i, int64_t j) { return mask(i, j) != 0 ? 0.0 : static_cast<double>(scores(i, j)); });
}

Result<std::vector<double>> loss_scores(const SelectionVote& vote) {
  ESPARSE_ASSIGN_OR_RETURN(const InverseFactor factor,
                           inverse_cholesky_upper_ladder(vote.statistics->gram, vote.damping));
  Matrix<float> weight(vote.weight.rows, vote.weight.cols), errors(vote.weight.rows, vote.weight.cols);
  for (int64_t i = 0; i < weight.rows(); ++i)
    for (int64_t j = 0; j < weight.cols(); ++j)  // what reads a dead channel counts for nothing
      weight(i, j) = vote.statistics->gram(j, j) > 0 ? vote.weight(i, j) : 0.0f;
  Matrix<uint8_t> mask(weight.rows(), weight.cols());
  auto reported = errors.view();
  obs_sweep(weight.view(), factor.u.view(), vote.pattern, mask.view(), weight.cols(), &reported);
  return sums_along(vote.split, errors.rows(), errors.cols(),
                    [&](int64_t i, int64_t j) { return static_cast<double>(errors(i, j)) * errors(i, j); });
}

std::vector<int32_t> random_indices(int64_t size, int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> indices(static_cast<size_t>(size));
  std::iota(indices.begin(), indices.end(), 0);
  for (int64_t k = 0; k < count; ++k)
    std::swap(indices[k], indices[k + static_cast<int64_t>(draw_below(random, static_cast<uint64_t>(size - k)))]);
  indices.resize(static_cast<size_t>(count));
  std::ranges::sort(indices);
  return indices;
}

std::vector<int32_t> largest(const std::vector<double>& scores, int64_t count) {
  std::vector<int32_t> indices(scores.size());
  std::iota(indices.begin(), indices.end(), 0);
  std::ranges::stable_sort(indices, [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
  indices.resize(static_cast<size_t>(count));
  std::ranges::sort(indices);
  return indices;
}

}  // namespace

Result<DenseSelection> parse_dense_selection(std::string_view text) {
  for (const auto& [selection, name] : kSelections)
    if (name == text) return selection;
  return invalid_argument("selection {:?}: expected norm, tail, drop, loss or random", text.substr(0, 40));
}

std::string_view dense_selection_name(DenseSelection selection) {
  for (const auto& named : kSelections)
    if (named.selection == selection) return named.name;
  return "?";
}

StatisticsNeeds selection_needs(DenseSelection selection, const SaliencyMethod& saliency) {
  if (selection == DenseSelection::norm) return {.norms = true};
  if (selection == DenseSelection::drop) return saliency.needs;
  if (selection == DenseSelection::loss) return {.gram = true};
  return {};
}

Result<std::vector<double>> dense_scores(DenseSelection selection, const SelectionVote& vote) {
  if (selection == DenseSelection::drop) return drop_scores(vote);
  if (selection == DenseSelection::loss) return loss_scores(vote);
  ESPARSE_CHECK(selection == DenseSelection::norm);
  return norm_scores(vote);
}

Result<std::vector<int32_t>> select_dense(DenseSelection selection, std::span<const SelectionVote> votes, int64_t size,
                                          int64_t count, uint64_t seed) {
  ESPARSE_CHECK(count >= 0 && count <= size);
  if (selection == DenseSelection::random) return random_indices(size, count, seed);
  std::vector<double> sums(static_cast<size_t>(size));
  if (selection == DenseSelection::tail) {
    std::iota(sums.begin(), sums.end(), 0.0);
    return largest(sums, count);
  }
  for (const SelectionVote& vote : votes) {
    ESPARSE_ASSIGN_OR_RETURN(const std::vector<double> scores, dense_scores(selection, vote));
    ESPARSE_CHECK(scores.size() == sums.size());
    const double total = std::accumulate(scores.begin(), scores.end(), 0.0);
    for (size_t k = 0; k < sums.size(); ++k) sums[k] += total > 0 ? scores[k] / total : 0.0;
  }
  return largest(sums, count);
}

}  // namespace esparse

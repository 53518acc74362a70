#include "prune/allocation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

// body(row) for every row, in parallel.
template <typename Body>
void for_each_row(MatrixView<const float> scores, Body&& body) {
  constexpr int64_t kChunkRows = 64;
  parallel_for_sized(ceil_div(scores.rows, kChunkRows), scores.rows * scores.cols, [&](int64_t chunk, int) {
    const int64_t end = std::min(scores.rows, (chunk + 1) * kChunkRows);
    for (int64_t row = chunk * kChunkRows; row < end; ++row) body(row);
  });
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Ratios mapped to [0, span], the smallest to 0 and the largest to span, then shifted to a mean of 0.
std::vector<double> centred(std::span<const double> ratios, double span) {
  std::vector<double> values(ratios.begin(), ratios.end());
  if (values.empty()) return values;
  const auto [least, most] = std::ranges::minmax(ratios);
  for (double& value : values) value = most > least ? (value - least) / (most - least) * span : 0.0;
  const double mean = mean_of(values);
  for (double& value : values) value -= mean;
  return values;
}

std::vector<double> shifted(std::span<const double> values, double offset, double least, double most) {
  std::vector<double> result(values.begin(), values.end());
  for (double& value : result) value = std::clamp(value + offset, least, most);
  return result;
}

// Clamps values of mean `mean`. What clamping takes from the mean, one common offset gives back; without clamping
// nothing changes.
std::vector<double> clamp_keeping_mean(std::vector<double> values, double least, double most, double mean) {
  if (values.empty()) return values;
  const auto [smallest, largest] = std::ranges::minmax(values);
  if (smallest >= least && largest <= most) return values;
  double low = least - largest, high = most - smallest;  // there all values are clamped to the same end
  for (int step = 0; step < 100; ++step) {               // the mean grows with the offset: bisection to the last bit
    const double middle = 0.5 * (low + high);
    (mean_of(shifted(values, middle, least, most)) < mean ? low : high) = middle;
  }
  return shifted(values, high, least, most);
}

// Whole numbers with the sum `total`: all are rounded down, and the largest fractions (of equals the first) get the 1s
// that are then missing.
std::vector<int> round_keeping_sum(std::vector<double> values, int64_t total) {
  // Rounding errors must neither part equal fractions nor pull a whole number below itself.
  for (double& value : values) value = std::round(value * 0x1p30) * 0x1p-30;
  std::vector<int> result(values.size());
  for (size_t k = 0; k < values.size(); ++k) result[k] = static_cast<int>(std::floor(values[k]));
  const int64_t missing = total - std::accumulate(result.begin(), result.end(), int64_t{0});
  std::vector<size_t> ranked(values.size());
  std::iota(ranked.begin(), ranked.end(), size_t{0});
  std::ranges::stable_sort(ranked, [&](size_t a, size_t b) { return values[a] - result[a] > values[b] - result[b]; });
  for (int64_t rank = 0; rank < missing; ++rank) ++result[ranked[rank]];
  return result;
}

}  // namespace

Status OwlOptions::validate() const {
  if (!(std::isfinite(outlier_multiple) && outlier_multiple > 0))
    return invalid_argument("OWL outlier multiple: expected a number above 0, got {}", outlier_multiple);
  if (!(lambda >= 0 && lambda <= 0.5))
    return invalid_argument("OWL lambda: expected 0 to 0.5 (sparsities span twice as much), got {}", lambda);
  if (!(nm_span >= 0 && nm_span <= NmPattern::kMaxGroup))
    return invalid_argument("OWL N:M span: expected 0 to {} weights per group, got {}", NmPattern::kMaxGroup, nm_span);
  return {};
}

void OutlierRatio::add_to_mean(MatrixView<const float> scores) {
  std::vector<double> sums(scores.rows);
  for_each_row(scores, [&](int64_t row) {
    const auto values = scores.row(row);
    sums[row] = std::accumulate(values.begin(), values.end(), 0.0);
  });
  sum_ = std::accumulate(sums.begin(), sums.end(), sum_);
  scores_ += scores.rows * scores.cols;
}

void OutlierRatio::add_to_count(MatrixView<const float> scores) {
  const double threshold = multiple_ * sum_ / static_cast<double>(std::max<int64_t>(scores_, 1));
  std::vector<int64_t> counts(scores.rows);
  for_each_row(scores, [&](int64_t row) {
    counts[row] = std::ranges::count_if(scores.row(row), [&](float score) { return score > threshold; });
  });
  outliers_ = std::accumulate(counts.begin(), counts.end(), outliers_);
}

double OutlierRatio::percent() const {
  return 100.0 * static_cast<double>(outliers_) / static_cast<double>(std::max<int64_t>(scores_, 1));
}

std::vector<double> owl_sparsities(std::span<const double> ratios, double lambda, double sparsity) {
  ESPARSE_CHECK(sparsity >= kOwlLeastSparsity && sparsity <= kOwlMostSparsity);
  std::vector<double> sparsities = centred(ratios, 2.0 * lambda);
  for (double& value : sparsities) value = sparsity - value;
  return clamp_keeping_mean(std::move(sparsities), kOwlLeastSparsity, kOwlMostSparsity, sparsity);
}

std::vector<int> owl_kept(std::span<const double> ratios, double span, NmPattern pattern) {
  ESPARSE_CHECK(pattern.valid());
  std::vector<double> kept = centred(ratios, span);
  for (double& value : kept) value += pattern.kept;
  kept = clamp_keeping_mean(std::move(kept), 1.0, pattern.group, pattern.kept);
  const auto total = static_cast<int64_t>(kept.size()) * pattern.kept;
  return round_keeping_sum(std::move(kept), total);
}

Result<std::vector<PruneTarget>> owl_targets(std::span<const double> ratios, const OwlOptions& options,
                                             const PruneTarget& base) {
  ESPARSE_RETURN_IF_ERROR(options.validate());
  ESPARSE_RETURN_IF_ERROR(base.validate());
  if (base.kind == TargetKind::dense || base.kind == TargetKind::spense)
    return invalid_argument("OWL: expected N:M or a share to remove, got {}", base.text());
  std::vector<PruneTarget> targets;
  if (base.kind == TargetKind::nm) {
    for (int kept : owl_kept(ratios, options.nm_span, base.pattern))
      targets.push_back(kept < base.pattern.group ? PruneTarget::nm({kept, base.pattern.group}) : PruneTarget::dense());
    return targets;
  }
  if (base.sparsity < kOwlLeastSparsity || base.sparsity > kOwlMostSparsity)
    return invalid_argument("OWL: expected a sparsity of 1 % to 99 %, got {}", base.text());
  for (double sparsity : owl_sparsities(ratios, options.lambda, base.sparsity))
    targets.push_back(PruneTarget::unstructured(sparsity, base.scope));
  return targets;
}

double average_sparsity(std::span<const PruneTarget> targets) {
  double removed = 0.0;
  for (const PruneTarget& target : targets) removed += 1.0 - target.density();
  return targets.empty() ? 0.0 : removed / static_cast<double>(targets.size());
}

}  // namespace esparse

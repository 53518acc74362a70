// How much each decoder block is pruned: OWL gives blocks with more outliers a lower sparsity (docs/methods/owl.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "prune/target.h"

namespace esparse {

struct OwlOptions {
  double outlier_multiple = 5.0;  // Mth: an outlier scores more than so many times the block's mean
  double lambda = 0.08;           // sparsities of the blocks span 2 * lambda
  double nm_span = 2.0;           // N:M: the N of the blocks span so many weights per group

  Status validate() const;
};

// Outlier ratio of one decoder block, from the Wanda scores of all its linears in the DENSE model. Two passes over the
// linears, so that their scores need not be in memory together: add_to_mean() for each, then add_to_count() for each.
class OutlierRatio {
 public:
  explicit OutlierRatio(double outlier_multiple) : multiple_(outlier_multiple) {}

  void add_to_mean(MatrixView<const float> scores);
  void add_to_count(MatrixView<const float> scores);
  double percent() const;  // 100 * share of the scores above the threshold; 0 without scores

 private:
  double multiple_;
  double sum_ = 0.0;
  int64_t scores_ = 0;
  int64_t outliers_ = 0;
};

// Sparsity bounds of a block: the scripts keep it at 1 % or more; the upper bound mirrors that.
inline constexpr double kOwlLeastSparsity = 0.01;
inline constexpr double kOwlMostSparsity = 0.99;

// Per block: `sparsity` shifted by its ratio, spanning 2 * lambda, within the bounds. The mean over the blocks is
// `sparsity` (to rounding), which must lie within the bounds. Equal ratios: `sparsity` for all. Ratios finite.
std::vector<double> owl_sparsities(std::span<const double> ratios, double lambda, double sparsity);

// Per block: how many of every M are kept, 1 to M (M: the block stays dense). They sum to blocks * N.
std::vector<int> owl_kept(std::span<const double> ratios, double span, NmPattern pattern);

// One target per block around `base`, by owl_sparsities() or owl_kept(). Refuses a base of `dense` or `spense`, and a
// sparsity outside the bounds.
Result<std::vector<PruneTarget>> owl_targets(std::span<const double> ratios, const OwlOptions& options,
                                             const PruneTarget& base);

// Mean over the targets of 1 - density: the sparsity of the model when all blocks are of one size.
double average_sparsity(std::span<const PruneTarget> targets);

}  // namespace esparse

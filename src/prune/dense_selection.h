// Which rows or columns a Spense weight keeps dense (docs/methods/spense.md, section 3).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "calibrate/statistics.h"
#include "prune/saliency.h"
#include "sparse/pattern.h"
#include "sparse/spense_matrix.h"

namespace esparse {

enum class DenseSelection {
  norm,    // SpenseGPT+: the mean of |w| times the norm of its input
  tail,    // SpenseGPT: the last ones
  drop,    // the saliency that N:M would remove there
  loss,    // the OBS loss of a first sweep; an ablation
  random,  // the baseline
};
Result<DenseSelection> parse_dense_selection(std::string_view text);
std::string_view dense_selection_name(DenseSelection selection);

// What the scores of one linear are read from.
StatisticsNeeds selection_needs(DenseSelection selection, const SaliencyMethod& saliency);

// One linear's say: it scores its rows (split out) or columns (split in).
struct SelectionVote {
  MatrixView<const float> weight;               // [out, in], dense
  const InputStatistics* statistics = nullptr;  // of its input, as selection_needs() asks
  SpenseSplit split = SpenseSplit::out;
  NmPattern pattern = {};                    // drop, loss
  const SaliencyMethod* saliency = nullptr;  // drop
  SaliencyOptions saliency_options = {};
  double damping = 0.01;  // drop by obs, loss
};

// The scores of one linear, higher is kept dense. Refuses what no damping makes positive definite. Not for tail and
// random.
Result<std::vector<double>> dense_scores(DenseSelection selection, const SelectionVote& vote);

// `count` of `size` indices, ascending: those with the largest sum of scores, each linear's divided by their total
// first; of equal ones the lower index. The votes agree on `size`. `seed`: for random.
Result<std::vector<int32_t>> select_dense(DenseSelection selection, std::span<const SelectionVote> votes, int64_t size,
                                          int64_t count, uint64_t seed);

}  // namespace esparse

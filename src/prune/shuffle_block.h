// The swap search of the local block shuffle inside one block of channels. Inner part of shuffle_local.cc; a header of
// its own so that tests can compare its gains with plain recomputation.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/matrix.h"
#include "prune/swap_sums.h"
#include "sparse/pattern.h"

namespace esparse {

class PruneAccelerator;

// Let t_c(r) be the N-th largest score of row r among the other channels of channel c's group. Replacing c by d leaves
// the group with base(r) + max(x_d(r), t_c(r)), base being the N-1 largest of the others. So with
//     P[c][d] = sum over rows of max(x_d, t_c)
// swapping c and d, of different groups, changes the retained mass by P[c][d] - P[c][c] + P[d][c] - P[d][d]: for any
// N:M all gains follow from P, and a swap changes only the rows P[c] whose c lies in the two groups.
class BlockSwapSearch {
 public:
  // `channels`: the columns of `saliency` in this block, a multiple of M of them, group after group. Swaps that gain
  // less than `min_gain` (in units of the saliency) are not worth making. `accelerator`: null for the CPU.
  BlockSwapSearch(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> channels,
                  double min_gain, PruneAccelerator* accelerator = nullptr);

  // One round of the local search: the best swaps first, each group in at most one. False when none was made.
  bool run_round();

  // Current order, as columns of the saliency.
  std::vector<int32_t> order() const;
  // Change of the retained mass when the block's channels a and b (indices into the constructor's `channels`) trade
  // places; they must stand in different groups.
  double gain(int64_t a, int64_t b) const;
  int64_t group_of(int64_t channel) const { return group_of_[channel]; }
  // Maxima taken and added up for P so far: what the search spends its time on.
  int64_t max_additions() const { return max_additions_; }

 private:
  struct Swap {
    double gain = 0.0;
    int32_t first = -1;  // channels of the block
    int32_t second = -1;
  };

  void refresh_thresholds(std::span<const int64_t> groups);
  void refresh_best_swaps(const std::vector<uint8_t>& changed);
  Swap best_swap(int64_t s, int64_t t) const;
  void refresh(const std::vector<uint8_t>& changed);
  std::vector<Swap> choose_swaps() const;
  void exchange(const Swap& swap);
  std::vector<uint8_t> make(const std::vector<Swap>& swaps);

  NmPattern pattern_;
  int64_t channels_;
  int64_t groups_;
  int64_t padded_rows_;
  double min_gain_;
  int64_t max_additions_ = 0;
  std::vector<int32_t> columns_;   // of the saliency
  std::vector<int32_t> members_;   // [groups, M] channels of the block
  std::vector<int32_t> group_of_;  // [channels]
  std::unique_ptr<SwapSums> row_sums_;
  std::vector<double> sums_;  // P, [channels, channels]
  std::vector<double> mass_;  // [groups] retained mass
  std::vector<Swap> best_;    // [groups, groups], s < t
};

}  // namespace esparse

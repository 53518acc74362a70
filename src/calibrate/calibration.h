// Runs the calibration windows through the model one block at a time, and gathers what the linears of a block see.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "calibrate/entropy.h"
#include "calibrate/statistics.h"
#include "model/model.h"

namespace esparse {

// By input site; index with static_cast<size_t>(InputSite).
using BlockStatistics = std::array<InputStatistics, kInputSites.size()>;

// Holds the hidden states of all windows in front of the next block: windows x seqlen x hidden_size x 4 bytes.
class Calibration {
 public:
  // Embeds the windows; ids must be in the vocabulary. The model must outlive this object.
  Calibration(const Model& model, const std::vector<std::vector<int32_t>>& windows);

  // Statistics of block `layer`, whose inputs are the present hidden states. One forward pass over all windows, two if
  // entropy is asked for (ranges, then counts). Refuses activations that are not finite.
  Result<BlockStatistics> gather(int64_t layer, StatisticsNeeds needs, const EntropyRange& range, int bins);

  // Sends the hidden states through block `layer` as it is now: call it once the block is pruned.
  void advance(int64_t layer);

 private:
  void run_block(int64_t layer, InputObserver& observer);

  const Model& model_;
  std::vector<Matrix<float>> hidden_;  // per window [seqlen, hidden_size]
  LayerCache cache_;                   // scratch for the keys and values of one window
};

}  // namespace esparse

// What each choice of a budget search costs by itself: one group of linears is pruned, all others stay dense.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/model.h"
#include "prune/recipe.h"
#include "prune/target.h"
#include "search/held_out.h"

namespace esparse {

struct Sensitivity {
  double kl = 0;            // HeldOut: from the dense model, end to end
  double nll_rise = 0;      // likewise
  double output_error = 0;  // of the pruned linears on the calibration sample
};
// By SiteTargets::text(), one map a block.
using BlockSensitivities = std::map<std::string, Sensitivity>;

struct SensitivityInputs {
  const Model& dense;
  const Recipe&
      recipe;  // refit is left out: the inputs are those of the dense model, so there is nothing to make up for
  const std::vector<PruneTarget>& candidates;
  const std::vector<std::vector<int32_t>>& windows;  // calibration
  const HeldOut& held_out;
  std::filesystem::path directory;  // hidden states of the calibration in files there; empty: in memory
};

// Adds what `known` lacks, block by block, and calls `block_done` after each. For every trial the block is solved on
// the statistics of the dense model, and the held-out windows run through it and the dense blocks behind it. Memory:
// the hidden states of the held-out windows twice, the statistics of one block and one copy of its weights.
Status measure_sensitivities(const SensitivityInputs& inputs, std::vector<BlockSensitivities>& known,
                             const std::function<Status()>& block_done);

}  // namespace esparse

// Prunes a loaded model in place, block by block, each fed by the already pruned ones.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/model.h"
#include "prune/layer_figures.h"
#include "prune/layer_problem.h"
#include "prune/recipe.h"

namespace esparse {

class BlockRunner;
class PruneAccelerator;

struct PrunedLinear {
  std::string name;
  std::string pattern;  // "2:4", "50%", "spense:0.25"; "dense" when a rule spared it
  int64_t out_features = 0, in_features = 0;
  double retained = 1;  // share of its saliency that survived, see LinearSolution for these
  double output_error = -1;
  double magnitude_error = -1;
  double damping_asked = 0, damping = 0;
  int64_t exchanges = 0;
  std::optional<ShuffleShares> shuffle;     // of all linears that share its input
  std::optional<SpenseLayout> layout = {};  // spense: what is dense
  int64_t bytes_dense = 0, bytes_now = 0;
  double seconds = -1;  // its share of the time its site took, gathering included; -1: done in an earlier run

  // Magnitude pruning would have done better here, on the sample.
  bool worse_than_magnitude() const { return output_error > magnitude_error * (1 + 1e-6); }
};

struct PruneReport {
  std::vector<PrunedLinear> linears;        // in model order
  std::vector<double> outlier_percent;      // allocation owl: per block
  std::vector<std::string> block_patterns;  // allocation owl: per block
};

// Null pointers mean the CPU. Both must outlive the work.
struct PruneDevice {
  BlockRunner* runner = nullptr;
  PruneAccelerator* accelerator = nullptr;
};

struct PruneJob {
  std::filesystem::path directory;  // hidden states in files there; empty: in memory
  uint64_t fingerprint = 0;         // stored in those files
  bool one_site_at_a_time = false;  // less memory for one more pass over a block
  int64_t first_layer = 0;          // an earlier run has done the blocks before
  PruneReport finished;             // what it reported
  FigureRecorder* recorder = nullptr;
  PruneDevice device = {};  // where the work is done
  // Called when a block is pruned and the hidden states behind it are safe. The block may be let go of afterwards.
  std::function<Status(int64_t layer, const PruneReport& so_far)> block_done;
};

// `windows`: the calibration windows, unused when nothing in the recipe asks for statistics. On success every decoder
// linear that the recipe does not spare is pruned and packed, the channel orders of the norms are set, and orders of
// o_proj and down_proj are folded into the rows of v, gate and up.
Result<PruneReport> prune_model(Model& model, const Recipe& recipe, const std::vector<std::vector<int32_t>>& windows,
                                PruneJob job = {});

// What prune_model() would refuse, for an answer before any long work: a model that is packed or shuffled already,
// rules that match no linear or make linears disagree that read one input.
Status check_prunable(const Model& model, const Recipe& recipe);

// Does anything in the recipe look at activations of this model?
bool needs_calibration(const Model& model, const Recipe& recipe);

}  // namespace esparse

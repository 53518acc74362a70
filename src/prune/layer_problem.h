// The core of the pruning machine, the same for every method: a LayerProblem goes in, a LayerSolution comes out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/matrix.h"
#include "calibrate/statistics.h"
#include "prune/pruned_part.h"
#include "prune/recipe.h"
#include "prune/shuffle.h"

namespace esparse {

// Which channel orders are free at run time. The input of o_proj is made of heads whose values come from KV heads:
// there one order per KV head, used by all its query heads, can be folded into the rows of v_proj.
struct OrderFreedom {
  int64_t num_heads = 1;     // consecutive slices of the input channels
  int64_t num_kv_heads = 1;  // divides num_heads; slices that read the same KV head share their order
};

struct LinearProblem {
  std::string name;
  Matrix<float> weight;  // [out_features, in_features]
  LinearRecipe recipe;
  std::vector<int32_t> dense_rows = {};  // Spense by rows: these stay dense (ascending). Empty: by columns
  bool keep_scores = false;              // give the saliency back in the solution
};

// The linears that read one input, and so share one channel order. Those that are pruned agree on shuffle, damping and,
// when shuffled, on the pattern (check_site_agrees).
struct LayerProblem {
  std::vector<LinearProblem> linears;  // the same in_features
  InputStatistics statistics;          // what their recipes need
  OrderFreedom freedom = {};
  // Channels (ascending) that come last in the order. Linears that are Spense by columns keep them dense, for others
  // they are channels as all are. Where heads bind the order: whole heads at the end.
  std::vector<int32_t> last_channels = {};
  PruneAccelerator* accelerator = nullptr;  // null: the CPU
};

// Of one of its linears, in the order of channels that ends with last_channels.
PrunedPart pruned_part(const LayerProblem& problem, const LinearProblem& linear);

struct LinearSolution {
  Matrix<float> weight;         // [out_features, in_features] in the OLD order of channels, zero where pruned
  double retained = 1;          // share of its saliency that the saliency's own mask keeps under the order
  double output_error = -1;     // |x W'^T - x T^T|^2 / |x T^T|^2 over the sample, T the dense (with refit: refitted)
                                // weight; -1 without calibration
  double magnitude_error = -1;  // the same for a magnitude mask of the same pattern without any update
  double damping = 0;           // that the factorisation needed; 0 when there was none
  int64_t exchanges = 0;        // made by dsnot
  Matrix<float> scores = {};    // keep_scores: the saliency [out_features, in_features] in the NEW order
};

// What the shuffle gained, over all linears of the site; see ShuffleResult.
struct ShuffleShares {
  double retained_before = 1;
  double retained = 1;
  double retained_on_searched_rows = 1;
};

struct LayerSolution {
  // new position k holds old channel order[k]; empty = identity. With shares when there was a shuffle.
  ChannelOrder order;
  std::optional<ShuffleShares> shuffle;
  std::vector<LinearSolution> linears;
};

// What stays dense of a Spense linear: rows are as they were (with refit: refitted); columns follow OBS, ADMM and
// descent. Where slices are no multiple of M wide, groups straddle them and the order stays the identity; a shorter
// last group keeps its channels. Deterministic for any thread count. Refuses what no damping makes positive definite,
// and results that are not finite.
Result<LayerSolution> solve_layer(LayerProblem problem);

// Do the recipes of linears at one site fit together?
Status check_site_agrees(const std::vector<LinearRecipe>& recipes);

}  // namespace esparse

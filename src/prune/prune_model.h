// Prunes a loaded model in place, block by block, each fed by the already pruned ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/model.h"
#include "prune/recipe.h"

namespace esparse {

struct PrunedLinear {
  std::string name;
  int64_t out_features = 0, in_features = 0;
  double retained = 1;  // share of its saliency that survived
  int64_t bytes_dense = 0, bytes_now = 0;
};

struct PruneReport {
  std::vector<PrunedLinear> linears;  // in model order
};

// `windows`: the calibration windows, unused when the saliency asks for no statistics. On success every decoder linear
// is packed, the channel orders of the norms are set, and orders of o_proj and down_proj are folded into the rows of v,
// gate and up. Refused before any work: a model that is packed or shuffled already.
Result<PruneReport> prune_model(Model& model, const Recipe& recipe, const std::vector<std::vector<int32_t>>& windows);

// What prune_model() would refuse, without calibration text: for an answer before any long work.
Status check_prunable(const Model& model, const Recipe& recipe);

}  // namespace esparse

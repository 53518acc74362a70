// One input site of a block as a problem for the layer solver, and a whole block pruned on trial.
#pragma once

#include "base/status.h"
#include "calibrate/calibration.h"
#include "model/config.h"
#include "model/decoder_block.h"
#include "prune/layer_problem.h"
#include "prune/spense_block.h"

namespace esparse {

// The linears at `site` of `block` as they stand now; `spense` puts in what stays dense.
Result<LayerProblem> make_site_problem(const DecoderBlock& block, InputSite site,
                                       const std::vector<LinearRecipe>& recipes, InputStatistics statistics,
                                       const ModelConfig& config, SpenseBlock& spense);

struct BlockTrial {
  DecoderBlock block;       // a copy, pruned: dense weights with zeros, channels in their old order
  double output_error = 0;  // of the pruned linears, mean (LinearSolution::output_error)
};

// Prunes what the recipes ask for by the inputs that the dense block has (`statistics`, at all sites that are pruned).
// The block itself stays as it is.
Result<BlockTrial> try_block(const DecoderBlock& dense, const ModelConfig& config, const BlockRecipes& recipes,
                             const BlockStatistics& statistics);

// What the recipes of a block ask of the calibration.
BlockRequest block_request(const BlockRecipes& recipes);

}  // namespace esparse

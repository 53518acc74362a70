// Which rows and channels of a decoder block stay dense under Spense, and how its weights are split
// (docs/methods/spense.md, sections 1 and 3).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "calibrate/calibration.h"
#include "model/config.h"
#include "model/decoder_block.h"
#include "prune/layer_problem.h"
#include "prune/recipe.h"
#include "sparse/spense_matrix.h"

namespace esparse {

// Per input site, a recipe for each of its linears, as linears_at() has them.
using BlockRecipes = std::array<std::vector<LinearRecipe>, kInputSites.size()>;

// Do the Spense linears of the block fit together? They must have something to split, and those that keep one set of
// neurons or channels dense must agree on how it is chosen.
Status check_spense_block(const DecoderBlock& block, const BlockRecipes& recipes);

// How a Spense linear of the shape [out, in] is split; the same as SpenseBlock::layout() without having chosen.
SpenseLayout planned_layout(InputSite site, const LinearRecipe& recipe, int64_t out_features, int64_t in_features,
                            const ModelConfig& config);

class SpenseBlock {
 public:
  // The block is still dense; all of this must live as long as this object.
  SpenseBlock(const DecoderBlock& block, const ModelConfig& config, const BlockRecipes& recipes)
      : block_(block), config_(config), recipes_(recipes) {}

  // Are neurons to be chosen before the site `mlp` is solved? And from which statistics, at `mlp` and `down` (possibly
  // none)?
  bool aligns_neurons() const { return neuron_recipe() != nullptr; }
  BlockRequest neuron_request() const;
  Status choose_neurons(const BlockStatistics& statistics);

  // Puts what stays dense into the problem of a site, whose weights and statistics are there; the sites that neurons do
  // not bind choose now.
  Status add_to(InputSite site, LayerProblem& problem);

  // How a Spense linear is packed, once its site has been solved.
  SpenseLayout layout(InputSite site, size_t index) const;

 private:
  const LinearRecipe* neuron_recipe() const;
  bool is_aligned(InputSite site, const LinearRecipe& recipe) const;
  const LinearRecipe* spense_at(InputSite site) const;  // the first Spense recipe that chooses for itself
  Result<std::vector<int32_t>> choose_channels(InputSite site, const LayerProblem& problem) const;
  uint64_t seed(const LinearRecipe& recipe, std::string_view what) const;

  const DecoderBlock& block_;
  const ModelConfig& config_;
  const BlockRecipes& recipes_;
  std::vector<int32_t> neurons_;                                        // ascending
  std::array<std::vector<int32_t>, kInputSites.size()> last_channels_;  // of sites that are done
};

}  // namespace esparse

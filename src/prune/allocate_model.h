// Measures the dense model for an allocation: how much each decoder block is to be pruned.
#pragma once

#include <filesystem>
#include <vector>

#include "base/status.h"
#include "model/model.h"
#include "prune/recipe.h"

namespace esparse {

class BlockRunner;

struct ModelAllocation {
  std::vector<PruneTarget> targets;     // per block
  std::vector<double> outlier_percent;  // per block; empty for uniform
};

// Uniform: the recipe's pattern for every block, at no cost. OWL: one forward pass of the dense model over the windows;
// hidden states in files in `directory` (empty: in memory); `runner`: null for the CPU.
Result<ModelAllocation> allocate_model(const Model& model, const Recipe& recipe,
                                       const std::vector<std::vector<int32_t>>& windows,
                                       const std::filesystem::path& directory, BlockRunner* runner);

}  // namespace esparse

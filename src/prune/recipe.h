// A recipe chooses each part of the pruning machine. LinearRecipe is what applies to one linear; Recipe adds rules by
// layer name and what concerns the whole model. Every combination is legal unless validate() refuses it with a reason.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "calibrate/entropy.h"
#include "calibrate/statistics.h"
#include "io/json.h"
#include "prune/allocation.h"
#include "prune/dense_selection.h"
#include "prune/dsnot.h"
#include "prune/saliency.h"
#include "prune/shuffle.h"
#include "prune/target.h"
#include "prune/update.h"

namespace esparse {

// What may share the rows and columns that stay dense of a Spense block.
enum class SpenseMode {
  neuron_aligned,  // one set of neurons: rows of gate and up, columns of down (fc1, fc2)
  per_matrix,      // each input site has its own columns
};
Result<SpenseMode> parse_spense_mode(std::string_view text);
std::string_view spense_mode_name(SpenseMode mode);

struct SpenseOptions {
  DenseSelection selection = DenseSelection::norm;
  uint64_t seed = 0;  // selection random
  SpenseMode mode = SpenseMode::neuron_aligned;
  bool operator==(const SpenseOptions&) const = default;
};

struct LinearRecipe {
  const SaliencyMethod* saliency = nullptr;
  SaliencyOptions saliency_options;
  EntropyRange entropy_range;
  int entropy_bins = kEntropyBins;
  PruneTarget target;
  ShuffleOptions shuffle;
  UpdateSteps update;
  double damping = 0.01;        // of the gram matrix, times the mean of its diagonal (SparseGPT)
  double refit_damping = 0.01;  // the same for refit: pulls towards the dense weights
  bool residual = true;         // refit: o and down also make up for what the residual stream lost so far
  int sweeps = 20;              // descent
  DsnotOptions dsnot;
  SpenseOptions spense;

  Status validate() const;
  bool prunes() const { return target.kind != TargetKind::dense; }
  bool is_spense() const { return target.kind == TargetKind::spense; }
  bool shuffles() const { return shuffle.text() != "none"; }
  // OBS and ADMM with saliency obs choose the mask themselves while they move the weights; with another saliency OBS is
  // given its mask.
  StatisticsNeeds needs() const;
};

enum class Allocation { uniform, owl };

// Settings for the linears whose name matches: '*' stands for any text.
struct RecipeRule {
  std::string match;
  std::vector<std::pair<std::string, std::string>> settings;
};

struct Recipe {
  std::string name;     // of the shipped recipe or file it began as
  std::string summary;  // one line
  LinearRecipe base;
  std::vector<RecipeRule> rules;  // later ones win
  Allocation allocation = Allocation::uniform;
  OwlOptions owl;
  bool sequential = true;  // within a block: q, k, v before o before gate, up before down, each fed by the ones before

  // Settings by name, as recipe files and the command line have them (recipe_options.h). Errors name the setting.
  Status set(std::string_view option, std::string_view value);
  Status validate() const;
  // What applies to one linear; `block_target` replaces the base target (allocation) before the rules.
  LinearRecipe for_linear(std::string_view linear, const PruneTarget& block_target) const;
  // The effective recipe: only the settings that it reads.
  Json to_json() const;
};

// Does `name` match `pattern`, where '*' stands for any text, also none?
bool matches_pattern(std::string_view pattern, std::string_view name);

}  // namespace esparse

#include "search/sensitivity.h"

#include <algorithm>

#include "base/progress.h"
#include "calibrate/calibration.h"
#include "prune/site_problem.h"
#include "search/search_space.h"

namespace esparse {
namespace {

class SensitivityRun {
 public:
  explicit SensitivityRun(const SensitivityInputs& inputs) : inputs_(inputs), recipe_(inputs.recipe) {
    recipe_.base.update.refit = false;
    const ModelConfig& config = inputs_.dense.config();
    int64_t longest = 0;
    for (const auto& window : inputs_.held_out.windows()) {
      longest = std::max(longest, static_cast<int64_t>(window.size()));
      Matrix<float>& hidden =
          hidden_.emplace_back(static_cast<int64_t>(window.size()), static_cast<int64_t>(config.hidden_size));
      inputs_.dense.embed(window, 0, hidden.view());
    }
    cache_ = LayerCache(DType::f32, longest, config.num_kv_heads, config.head_dim);
  }

  Status run(std::vector<BlockSensitivities>& known, const std::function<Status()>& block_done) {
    const auto& blocks = inputs_.dense.blocks();
    known.resize(blocks.size());
    ESPARSE_ASSIGN_OR_RETURN(Calibration calibration,
                             Calibration::begin(inputs_.dense, inputs_.windows, {.directory = inputs_.directory}));
    int64_t total = 0;
    for (const DecoderBlock& block : blocks) total += static_cast<int64_t>(trials(block).size());
    Progress progress("sensitivity", total);
    for (size_t layer = 0; layer < blocks.size(); ++layer) {
      ESPARSE_RETURN_IF_ERROR(run_block(layer, calibration, known[layer], progress));
      ESPARSE_RETURN_IF_ERROR(block_done());
      if (layer + 1 < blocks.size()) ESPARSE_RETURN_IF_ERROR(calibration.advance(blocks[layer], blocks[layer]));
      for (Matrix<float>& hidden : hidden_)
        inputs_.dense.forward_block(blocks[layer], hidden.view(), 0, cache_, nullptr);
      calibration.forget_previous();
    }
    return {};
  }

 private:
  std::vector<SiteTargets> trials(const DecoderBlock& block) const {
    return trials_of(block, recipe_, inputs_.candidates);
  }

  Status run_block(size_t layer, Calibration& calibration, BlockSensitivities& known, Progress& progress) {
    const DecoderBlock& block = inputs_.dense.blocks()[layer];
    const auto wanted = trials(block);
    const auto is_known = [&](const SiteTargets& trial) { return known.contains(trial.text()); };
    if (std::ranges::all_of(wanted, is_known)) {
      progress.advance(static_cast<int64_t>(wanted.size()), block.name);
      return {};
    }
    BlockRequest request;
    for (const SiteTargets& trial : wanted) merge(block_request(recipes_under(block, recipe_, trial)), request);
    ESPARSE_ASSIGN_OR_RETURN(const BlockStatistics statistics, calibration.gather(block, block, kInputSites, request));
    for (const SiteTargets& trial : wanted) {
      if (!is_known(trial)) {
        auto measured = measure(layer, trial, statistics);
        if (!measured.ok()) return measured.status().with_context(fmt::format("{}: {}", block.name, trial.text()));
        known[trial.text()] = *measured;
      }
      progress.advance(1, fmt::format("{}: {}", block.name, trial.text()));
    }
    return {};
  }

  static void merge(const BlockRequest& from, BlockRequest& to) {
    for (size_t site = 0; site < to.size(); ++site) {
      to[site].needs.merge(from[site].needs);
      to[site].needs.cross = to[site].needs.residual = false;
      if (!from[site].needs.entropy) continue;
      to[site].entropy_range = from[site].entropy_range;
      to[site].entropy_bins = from[site].entropy_bins;
    }
  }

  Result<Sensitivity> measure(size_t layer, const SiteTargets& trial, const BlockStatistics& statistics) {
    const auto& blocks = inputs_.dense.blocks();
    BlockRecipes recipes = recipes_under(blocks[layer], recipe_, trial);
    for (auto& of_site : recipes)  // a rule may ask for it again
      for (LinearRecipe& recipe : of_site) recipe.update.refit = false;
    ESPARSE_ASSIGN_OR_RETURN(const BlockTrial tried,
                             try_block(blocks[layer], inputs_.dense.config(), recipes, statistics));
    std::vector<Matrix<float>> hidden = hidden_;
    for (Matrix<float>& states : hidden) {
      inputs_.dense.forward_block(tried.block, states.view(), 0, cache_, nullptr);
      for (size_t next = layer + 1; next < blocks.size(); ++next)
        inputs_.dense.forward_block(blocks[next], states.view(), 0, cache_, nullptr);
    }
    ESPARSE_ASSIGN_OR_RETURN(const HeldOutLoss divergence, inputs_.held_out.compare(hidden));
    return Sensitivity{divergence.kl, divergence.nll_rise, tried.output_error};
  }

  const SensitivityInputs& inputs_;
  Recipe recipe_;
  std::vector<Matrix<float>> hidden_;  // of every held-out window in front of the block, in the dense model
  LayerCache cache_;                   // scratch
};

}  // namespace

Status measure_sensitivities(const SensitivityInputs& inputs, std::vector<BlockSensitivities>& known,
                             const std::function<Status()>& block_done) {
  return SensitivityRun(inputs).run(known, block_done);
}

}  // namespace esparse

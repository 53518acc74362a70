#include "prune/prune_model.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/progress.h"
#include "calibrate/calibration.h"
#include "prune/allocate_model.h"
#include "prune/install.h"
#include "prune/layer_problem.h"
#include "prune/site_problem.h"

namespace esparse {
namespace {

template <typename T>
using BySite = std::array<T, kInputSites.size()>;

BlockRecipes block_recipes(const DecoderBlock& block, const Recipe& recipe, const PruneTarget& target) {
  BlockRecipes recipes;
  for (InputSite site : kInputSites)
    for (const LinearLayer* linear : block.linears_at(site))
      recipes[static_cast<size_t>(site)].push_back(recipe.for_linear(linear->name(), target));
  return recipes;
}

// One block on its way from dense to pruned.
class BlockPruner {
 public:
  BlockPruner(Model& model, int64_t layer, const Recipe& recipe, const PruneTarget& target, bool one_at_a_time)
      : block_(model.blocks()[layer]),
        dense_(block_),
        config_(model.config()),
        recipes_(block_recipes(block_, recipe, target)),
        request_(block_request(recipes_)),
        spense_(dense_, config_, recipes_),
        sequential_(recipe.sequential),
        one_at_a_time_(one_at_a_time || recipe.sequential ||
                       std::ranges::any_of(request_, [](const SiteRequest& site) { return site.needs.cross; })) {}

  void record(FigureRecorder* recorder) { recorder_ = recorder; }
  void use(PruneAccelerator* accelerator) { accelerator_ = accelerator; }
  const DecoderBlock& dense() const { return dense_; }

  Status solve(Calibration& calibration, Progress& progress) {
    BlockStatistics all;
    if (!one_at_a_time_) {
      ESPARSE_ASSIGN_OR_RETURN(all, calibration.gather(dense_, dense_, kInputSites, request_));
    }
    for (InputSite site : kInputSites) {
      const auto index = static_cast<size_t>(site);
      const auto start = std::chrono::steady_clock::now();
      if (site == InputSite::mlp && spense_.aligns_neurons()) ESPARSE_RETURN_IF_ERROR(choose_neurons(calibration, all));
      if (one_at_a_time_) {
        const std::array one = {site};
        ESPARSE_ASSIGN_OR_RETURN(BlockStatistics gathered,
                                 calibration.gather(sequential_ ? block_ : dense_, dense_, one, request_));
        all[index] = std::move(gathered[index]);
      }
      ESPARSE_RETURN_IF_ERROR(solve_site(site, std::move(all[index])));
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      for (PrunedLinear& linear : facts_[index])
        linear.seconds = seconds.count() / static_cast<double>(facts_[index].size());
      progress.advance(1, block_.name);
    }
    return {};
  }

  Status finish(PruneReport& report) {
    BlockTargets targets;
    for (InputSite site : kInputSites)
      for (const LinearRecipe& recipe : recipes_[static_cast<size_t>(site)]) {
        auto& of_site = targets[static_cast<size_t>(site)];
        of_site.push_back({recipe.target});
        if (recipe.is_spense()) of_site.back().layout = spense_.layout(site, of_site.size() - 1);
      }
    ESPARSE_RETURN_IF_ERROR(fold_and_pack(block_, orders_, targets, config_));
    for (InputSite site : kInputSites) {
      const auto index = static_cast<size_t>(site);
      const auto linears = block_.linears_at(site);
      const auto before = dense_.linears_at(site);
      for (size_t i = 0; i < linears.size(); ++i) {
        PrunedLinear& line = facts_[index][i];
        line.bytes_dense = before[i]->weight_bytes();
        line.bytes_now = linears[i]->weight_bytes();
        if (recipes_[index][i].is_spense()) line.layout = targets[index][i].layout;
        report.linears.push_back(std::move(line));
      }
    }
    return {};
  }

 private:
  // With the attention pruned and the feed-forward part dense; `all`: what has been gathered, if everything is at once.
  Status choose_neurons(Calibration& calibration, const BlockStatistics& all) {
    if (!one_at_a_time_) return spense_.choose_neurons(all);
    constexpr std::array kSites = {InputSite::mlp, InputSite::down};
    ESPARSE_ASSIGN_OR_RETURN(const BlockStatistics statistics, calibration.gather(sequential_ ? block_ : dense_, dense_,
                                                                                  kSites, spense_.neuron_request()));
    return spense_.choose_neurons(statistics);
  }

  Status solve_site(InputSite site, InputStatistics statistics) {
    const auto index = static_cast<size_t>(site);
    const auto linears = block_.linears_at(site);
    ESPARSE_ASSIGN_OR_RETURN(LayerProblem problem,
                             make_site_problem(block_, site, recipes_[index], std::move(statistics), config_, spense_));
    problem.accelerator = accelerator_;
    if (recorder_ != nullptr) recorder_->before(problem);
    ESPARSE_ASSIGN_OR_RETURN(LayerSolution solution, solve_layer(std::move(problem)));
    if (recorder_ != nullptr) recorder_->after(solution);
    orders_[index] = std::move(solution.order);
    for (size_t i = 0; i < linears.size(); ++i) {
      const LinearSolution& solved = solution.linears[i];
      const LinearRecipe& recipe = recipes_[index][i];
      facts_[index].push_back({.name = linears[i]->name(),
                               .pattern = recipe.target.text(),
                               .out_features = linears[i]->out_features(),
                               .in_features = linears[i]->in_features(),
                               .retained = solved.retained,
                               .output_error = solved.output_error,
                               .magnitude_error = solved.magnitude_error,
                               .damping_asked = recipe.needs().gram ? recipe.damping : 0,
                               .damping = solved.damping,
                               .exchanges = solved.exchanges,
                               .shuffle = recipe.prunes() ? solution.shuffle : std::nullopt});
      if (recipe.prunes()) ESPARSE_RETURN_IF_ERROR(set_weight(*linears[i], solved.weight));
    }
    return {};
  }

  DecoderBlock& block_;
  const DecoderBlock dense_;  // shares the weights until they are replaced
  const ModelConfig& config_;
  BlockRecipes recipes_;
  BlockRequest request_;
  SpenseBlock spense_;
  bool sequential_, one_at_a_time_;
  FigureRecorder* recorder_ = nullptr;
  PruneAccelerator* accelerator_ = nullptr;
  BlockOrders orders_;
  BySite<std::vector<PrunedLinear>> facts_;
};

bool carries_dense(const Model& model, const Recipe& recipe) {
  for (const DecoderBlock& block : model.blocks())
    for (InputSite site : kInputSites)
      for (const LinearLayer* linear : block.linears_at(site))
        if (recipe.for_linear(linear->name(), recipe.base.target).needs().cross) return true;
  return false;
}

Status check_rules(const Model& model, const Recipe& recipe) {
  for (const RecipeRule& rule : recipe.rules) {
    bool found = rule.match == "lm_head";  // stays dense anyway; saying so is no mistake
    for (const DecoderBlock& block : model.blocks())
      for (InputSite site : kInputSites)
        for (const LinearLayer* linear : block.linears_at(site)) found |= matches_pattern(rule.match, linear->name());
    if (!found)
      return invalid_argument("layers matching {:?}: the model has no such linear; one of its names is {}", rule.match,
                              model.blocks().empty() ? "?" : model.blocks()[0].q.name());
  }
  return {};
}

Result<Calibration> start_calibration(const Model& model, const Recipe& recipe,
                                      const std::vector<std::vector<int32_t>>& windows, const PruneJob& job) {
  CalibrationOptions options{carries_dense(model, recipe), job.directory, job.fingerprint, job.device.runner};
  const bool all_done = job.first_layer == static_cast<int64_t>(model.blocks().size());
  if (all_done || !needs_calibration(model, recipe)) return Calibration::begin(model, {}, std::move(options));
  if (job.first_layer == 0) return Calibration::begin(model, windows, std::move(options));
  return Calibration::reopen(model, windows, std::move(options), job.first_layer);
}

}  // namespace

bool needs_calibration(const Model& model, const Recipe& recipe) {
  if (recipe.allocation == Allocation::owl) return true;
  for (const DecoderBlock& block : model.blocks())
    for (InputSite site : kInputSites)
      for (const LinearLayer* linear : block.linears_at(site))
        if (recipe.for_linear(linear->name(), recipe.base.target).needs().any()) return true;
  return false;
}

Status check_prunable(const Model& model, const Recipe& recipe) {
  ESPARSE_RETURN_IF_ERROR(recipe.validate());
  ESPARSE_RETURN_IF_ERROR(check_rules(model, recipe));
  for (const DecoderBlock& block : model.blocks()) {
    if (!block.attention_order.empty() || !block.mlp_order.empty())
      return unsupported("{}: the model's channels are shuffled already; prune the dense model instead", block.name);
    const auto recipes = block_recipes(block, recipe, recipe.base.target);
    for (InputSite site : kInputSites) {
      for (const LinearLayer* linear : block.linears_at(site))
        if (linear->is_packed())
          return unsupported("{}: the weight is packed already; prune the dense model instead", linear->name());
      ESPARSE_RETURN_IF_ERROR(check_site_agrees(recipes[static_cast<size_t>(site)])
                                  .with_context(fmt::format("{}, {} inputs", block.name, input_site_name(site))));
    }
    ESPARSE_RETURN_IF_ERROR(check_spense_block(block, recipes));
  }
  return {};
}

Result<PruneReport> prune_model(Model& model, const Recipe& recipe, const std::vector<std::vector<int32_t>>& windows,
                                PruneJob job) {
  ESPARSE_RETURN_IF_ERROR(check_prunable(model, recipe));
  PruneReport report = std::move(job.finished);
  std::vector<PruneTarget> targets(model.blocks().size(), recipe.base.target);
  if (recipe.allocation != Allocation::uniform) {
    const auto directory = job.directory.empty() ? std::filesystem::path() : job.directory / "allocation";
    ESPARSE_ASSIGN_OR_RETURN(ModelAllocation allocation,
                             allocate_model(model, recipe, windows, directory, job.device.runner));
    targets = std::move(allocation.targets);
    report.outlier_percent = std::move(allocation.outlier_percent);
    report.block_patterns.clear();
    for (const PruneTarget& target : targets) report.block_patterns.push_back(target.text());
  }
  ESPARSE_ASSIGN_OR_RETURN(Calibration calibration, start_calibration(model, recipe, windows, job));
  const auto layers = static_cast<int64_t>(model.blocks().size());
  Progress progress("prune", (layers - job.first_layer) * static_cast<int64_t>(kInputSites.size()));
  for (int64_t layer = job.first_layer; layer < layers; ++layer) {
    BlockPruner pruner(model, layer, recipe, targets[layer], job.one_site_at_a_time);
    pruner.record(job.recorder);
    pruner.use(job.device.accelerator);
    ESPARSE_RETURN_IF_ERROR(pruner.solve(calibration, progress));
    ESPARSE_RETURN_IF_ERROR(pruner.finish(report));
    if (layer + 1 < layers) ESPARSE_RETURN_IF_ERROR(calibration.advance(model.blocks()[layer], pruner.dense()));
    if (job.block_done) ESPARSE_RETURN_IF_ERROR(job.block_done(layer, report));
    calibration.forget_previous();
    model.release_block_pages(layer);
  }
  return report;
}

}  // namespace esparse

#include "prune/site_problem.h"

#include <algorithm>

#include "prune/install.h"

namespace esparse {

BlockRequest block_request(const BlockRecipes& recipes) {
  BlockRequest request;
  for (InputSite site : kInputSites) {
    SiteRequest& asked = request[static_cast<size_t>(site)];
    for (const LinearRecipe& recipe : recipes[static_cast<size_t>(site)]) {
      if (!recipe.prunes()) continue;
      asked.needs.merge(recipe.needs());
      if (site == InputSite::output || site == InputSite::down)
        asked.needs.residual |= recipe.update.refit && recipe.residual;
      asked.entropy_range = recipe.entropy_range;
      asked.entropy_bins = recipe.entropy_bins;
    }
  }
  return request;
}

Result<LayerProblem> make_site_problem(const DecoderBlock& block, InputSite site,
                                       const std::vector<LinearRecipe>& recipes, InputStatistics statistics,
                                       const ModelConfig& config, SpenseBlock& spense) {
  const auto linears = block.linears_at(site);
  LayerProblem problem;
  for (size_t i = 0; i < linears.size(); ++i)
    problem.linears.push_back({linears[i]->name(), linears[i]->weight_as_f32(), recipes[i]});
  problem.statistics = std::move(statistics);
  if (site == InputSite::output) problem.freedom = {config.num_heads, config.num_kv_heads};
  ESPARSE_RETURN_IF_ERROR(spense.add_to(site, problem));
  return problem;
}

Result<BlockTrial> try_block(const DecoderBlock& dense, const ModelConfig& config, const BlockRecipes& recipes,
                             const BlockStatistics& statistics) {
  SpenseBlock spense(dense, config, recipes);
  if (spense.aligns_neurons()) ESPARSE_RETURN_IF_ERROR(spense.choose_neurons(statistics));
  BlockTrial trial{dense};
  int64_t pruned = 0;
  for (InputSite site : kInputSites) {
    const auto index = static_cast<size_t>(site);
    if (std::ranges::none_of(recipes[index], &LinearRecipe::prunes)) continue;
    ESPARSE_ASSIGN_OR_RETURN(LayerProblem problem,
                             make_site_problem(dense, site, recipes[index], statistics[index], config, spense));
    ESPARSE_ASSIGN_OR_RETURN(const LayerSolution solution, solve_layer(std::move(problem)));
    const auto linears = trial.block.linears_at(site);
    for (size_t i = 0; i < linears.size(); ++i) {
      if (!recipes[index][i].prunes()) continue;
      ESPARSE_RETURN_IF_ERROR(set_weight(*linears[i], solution.linears[i].weight));
      trial.output_error += std::max(solution.linears[i].output_error, 0.0);
      ++pruned;
    }
  }
  trial.output_error /= static_cast<double>(std::max<int64_t>(pruned, 1));
  return trial;
}

}  // namespace esparse

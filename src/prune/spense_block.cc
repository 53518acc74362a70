#include "prune/spense_block.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/hash.h"

namespace esparse {
namespace {

constexpr InputSite kNeuronSites[] = {InputSite::mlp, InputSite::down};

bool at_neurons(InputSite site) { return site == InputSite::mlp || site == InputSite::down; }
SpenseSplit split_of(InputSite site, SpenseMode mode) {
  return site == InputSite::mlp && mode == SpenseMode::neuron_aligned ? SpenseSplit::out : SpenseSplit::in;
}

// The inputs of o stand head by head, and only orders within a head are free: whole heads stay dense, the last ones.
bool heads_bind(InputSite site, const ModelConfig& config) { return site == InputSite::output && config.num_heads > 1; }

int64_t dense_count(InputSite site, int64_t size, double fraction, const ModelConfig& config) {
  if (!heads_bind(site, config)) return spense_dense_count(size, fraction);
  const int64_t heads = std::llround(fraction * static_cast<double>(config.num_heads));
  return std::clamp<int64_t>(heads, 1, config.num_heads - 1) * config.head_dim;
}

SelectionVote vote_of(MatrixView<const float> weight, const InputStatistics& statistics, const LinearRecipe& recipe,
                      SpenseSplit split) {
  return {weight, &statistics, split, recipe.target.pattern, recipe.saliency, recipe.saliency_options, recipe.damping};
}

}  // namespace

SpenseLayout planned_layout(InputSite site, const LinearRecipe& recipe, int64_t out_features, int64_t in_features,
                            const ModelConfig& config) {
  const SpenseSplit split = split_of(site, recipe.spense.mode);
  const int64_t size = split == SpenseSplit::out ? out_features : in_features;
  return {split, recipe.target.pattern, dense_count(site, size, recipe.target.dense_fraction, config)};
}

bool SpenseBlock::is_aligned(InputSite site, const LinearRecipe& recipe) const {
  return at_neurons(site) && recipe.is_spense() && recipe.spense.mode == SpenseMode::neuron_aligned;
}

const LinearRecipe* SpenseBlock::neuron_recipe() const {
  for (const InputSite site : kNeuronSites)
    for (const LinearRecipe& recipe : recipes_[static_cast<size_t>(site)])
      if (is_aligned(site, recipe)) return &recipe;
  return nullptr;
}

const LinearRecipe* SpenseBlock::spense_at(InputSite site) const {
  for (const LinearRecipe& recipe : recipes_[static_cast<size_t>(site)])
    if (recipe.is_spense() && !is_aligned(site, recipe)) return &recipe;
  return nullptr;
}

uint64_t SpenseBlock::seed(const LinearRecipe& recipe, std::string_view what) const {
  Fingerprint fingerprint;
  fingerprint.add(fmt::format("{} {} {}", recipe.spense.seed, block_.name, what));
  return fingerprint.value();
}

BlockRequest SpenseBlock::neuron_request() const {
  BlockRequest request;
  for (const InputSite site : kNeuronSites) {
    SiteRequest& asked = request[static_cast<size_t>(site)];
    for (const LinearRecipe& recipe : recipes_[static_cast<size_t>(site)]) {
      if (!is_aligned(site, recipe)) continue;
      asked.needs.merge(selection_needs(recipe.spense.selection, *recipe.saliency));
      asked.entropy_range = recipe.entropy_range;
      asked.entropy_bins = recipe.entropy_bins;
    }
  }
  return request;
}

Status SpenseBlock::choose_neurons(const BlockStatistics& statistics) {
  const LinearRecipe& chooser = *neuron_recipe();
  std::vector<Matrix<float>> weights;
  weights.reserve(3);
  std::vector<SelectionVote> votes;
  for (const InputSite site : kNeuronSites) {
    const auto linears = block_.linears_at(site);
    for (size_t index = 0; index < linears.size(); ++index) {
      const LinearRecipe& recipe = recipes_[static_cast<size_t>(site)][index];
      if (!is_aligned(site, recipe)) continue;
      const Matrix<float>& weight = weights.emplace_back(linears[index]->weight_as_f32());
      votes.push_back(
          vote_of(weight.view(), statistics[static_cast<size_t>(site)], recipe, split_of(site, recipe.spense.mode)));
    }
  }
  const int64_t size = config_.intermediate_size;
  auto chosen = select_dense(chooser.spense.selection, votes, size,
                             spense_dense_count(size, chooser.target.dense_fraction), seed(chooser, "neurons"));
  if (!chosen.ok()) return chosen.status().with_context(fmt::format("{}: choice of the dense neurons", block_.name));
  neurons_ = std::move(chosen).value();
  return {};
}

Result<std::vector<int32_t>> SpenseBlock::choose_channels(InputSite site, const LayerProblem& problem) const {
  const LinearRecipe& chooser = *spense_at(site);
  const int64_t size = problem.linears[0].weight.cols();
  const int64_t count = dense_count(site, size, chooser.target.dense_fraction, config_);
  const DenseSelection selection = heads_bind(site, config_) ? DenseSelection::tail : chooser.spense.selection;
  std::vector<SelectionVote> votes;
  for (const LinearProblem& linear : problem.linears)
    if (linear.recipe.is_spense())
      votes.push_back(vote_of(linear.weight.view(), problem.statistics, linear.recipe, SpenseSplit::in));
  auto chosen = select_dense(selection, votes, size, count, seed(chooser, input_site_name(site)));
  if (!chosen.ok())
    return chosen.status().with_context(
        fmt::format("{}: choice of the dense {} channels", block_.name, input_site_name(site)));
  return chosen;
}

Status SpenseBlock::add_to(InputSite site, LayerProblem& problem) {
  auto& last = last_channels_[static_cast<size_t>(site)];
  if (spense_at(site) != nullptr) {
    ESPARSE_ASSIGN_OR_RETURN(last, choose_channels(site, problem));
  } else if (site == InputSite::down) {
    last = neurons_;  // also when down itself is not Spense: its channels are the rows of gate and up
  }
  problem.last_channels = last;
  for (LinearProblem& linear : problem.linears)
    if (is_aligned(site, linear.recipe) && site == InputSite::mlp) linear.dense_rows = neurons_;
  return {};
}

SpenseLayout SpenseBlock::layout(InputSite site, size_t index) const {
  const LinearRecipe& recipe = recipes_[static_cast<size_t>(site)][index];
  const SpenseSplit split = split_of(site, recipe.spense.mode);
  const auto& dense = split == SpenseSplit::out ? neurons_ : last_channels_[static_cast<size_t>(site)];
  return {split, recipe.target.pattern, static_cast<int64_t>(dense.size())};
}

namespace {

// The Spense linears among these, which keep one set dense, must agree on it.
Status check_agree(const LinearLayer& linear, const LinearRecipe& recipe, const LinearRecipe*& first,
                   std::string_view why) {
  if (first == nullptr) first = &recipe;
  const auto differs = [&](std::string_view what) {
    return invalid_argument("{}: {}, so their settings must agree: '{}' differs", linear.name(), why, what);
  };
  if (recipe.spense.mode != first->spense.mode) return differs("spense_mode");
  if (recipe.target.dense_fraction != first->target.dense_fraction) return differs("dense_fraction");
  if (recipe.spense.selection != first->spense.selection) return differs("selection");
  if (recipe.spense.seed != first->spense.seed) return differs("selection_seed");
  return {};
}

}  // namespace

Status check_spense_block(const DecoderBlock& block, const BlockRecipes& recipes) {
  const LinearRecipe* of_neurons = nullptr;
  for (const InputSite site : kInputSites) {
    const auto linears = block.linears_at(site);
    const LinearRecipe* of_site = nullptr;
    for (size_t index = 0; index < linears.size(); ++index) {
      const LinearRecipe& recipe = recipes[static_cast<size_t>(site)][index];
      if (!recipe.is_spense()) continue;
      const bool rows = split_of(site, recipe.spense.mode) == SpenseSplit::out;
      const int64_t size = rows ? linears[index]->out_features() : linears[index]->in_features();
      if (size < 2)
        return invalid_argument("{}: pattern {}: {} {} cannot be split", linears[index]->name(), recipe.target.text(),
                                size, rows ? "row" : "column");
      ESPARSE_RETURN_IF_ERROR(check_agree(*linears[index], recipe, of_site,
                                          "linears that read one input keep the same rows or columns dense"));
      if (!at_neurons(site)) continue;
      // Down per matrix would order the neurons by its own choice, gate and up neuron-aligned by theirs.
      const bool alone = of_neurons != nullptr && recipe.spense.mode == SpenseMode::per_matrix &&
                         of_neurons->spense.mode == SpenseMode::per_matrix;
      if (!alone)
        ESPARSE_RETURN_IF_ERROR(check_agree(*linears[index], recipe, of_neurons, "gate, up and down share neurons"));
    }
  }
  return {};
}

}  // namespace esparse

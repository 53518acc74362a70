#include "prune/estimate.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/parallel.h"
#include "linalg/gemm.h"

namespace esparse {
namespace {

struct SiteCost {
  double operations = 0;
  int64_t statistics_bytes = 0;  // kept until the site is solved
  int64_t solve_bytes = 0;       // beside them, at the worst moment
};

// What a site asks for, over its linears.
struct SiteDemand {
  StatisticsNeeds needs;
  bool shuffles = false, refit = false, obs = false, admm = false, descent = false;
  bool scores_by_obs = false, reads_gram = false;
  double all = 0, largest = 0;  // weights of the site, and of its largest pruned linear
  double in = 0;
};

// Of docs/methods/channel-shuffle.md, section 6. A maximum with its addition takes as long as three operations of a
// matrix product.
double shuffle_operations(const LinearRecipe& recipe, double out, double in) {
  const ShuffleOptions& options = recipe.shuffle;
  const double rows = options.rows > 0 ? std::min(out, static_cast<double>(options.rows)) : out;
  const int starts = options.method == ShuffleMethod::global_local ? 2 : 1;
  if (options.swaps()) return 3 * 7 * starts * rows * in * static_cast<double>(options.block);
  if (options.method != ShuffleMethod::lsa) return 0;
  return 3 * rows * in * in / static_cast<double>(recipe.target.pattern.group * options.lsa_blocks);
}

double linear_operations(const LinearRecipe& own, double out, double in) {
  const double size = out * in;
  double operations = 0;
  if (own.update.refit) operations += 4 * size * in;
  if (own.update.mask_update == MaskUpdate::obs) operations += size * in;
  if (own.update.mask_update == MaskUpdate::admm) operations += 2 * size * in * 60;
  if (own.update.descent) operations += 2 * size * in * (0.6 * own.sweeps);
  if (own.shuffles()) operations += shuffle_operations(own, out, in);
  return operations;
}

// The matrices that solve_layer() holds at each of its steps, in bytes: g is a gram matrix, the factor is found in
// double and so takes two.
double solve_bytes(const SiteDemand& site, double hidden_size) {
  const double g = 4 * site.in * site.in, weights = 4 * site.all, one = site.largest;
  const double gram = site.needs.gram ? g : 0;
  const double upper = site.scores_by_obs && !site.shuffles ? g : (site.obs ? g : 0);
  double peak = 0;
  const auto step = [&](double bytes) { peak = std::max(peak, bytes); };
  if (site.refit) step(2 * weights + gram + g + (site.needs.residual ? 4 * hidden_size * site.in : 0) + 2 * g);
  if (site.scores_by_obs) step(2 * weights + gram + g + 2 * g);
  if (site.shuffles) step(4 * weights + gram + 4 * one);
  if (site.reads_gram) step(3 * weights + 2 * g + (site.obs && site.shuffles ? 2 * g : upper));
  const double ready = 4 * weights + (site.reads_gram ? g : 0) + upper;
  if (site.admm) step(ready + 18 * one + 4 * g);
  if (site.descent) step(ready + 9 * one + g);
  step(ready + 17 * one);  // the output error beside that of a magnitude mask
  return peak;
}

SiteCost site_cost(const DecoderBlock& block, InputSite site, const Recipe& recipe, double tokens, double hidden_size) {
  SiteCost cost;
  SiteDemand demand;
  for (const LinearLayer* linear : block.linears_at(site)) {
    const LinearRecipe own = recipe.for_linear(linear->name(), recipe.base.target);
    const auto in = static_cast<double>(linear->in_features()), out = static_cast<double>(linear->out_features());
    demand.in = in;
    demand.all += out * in;
    if (!own.prunes()) continue;
    cost.operations += linear_operations(own, out, in);
    demand.largest = std::max(demand.largest, out * in);
    demand.needs.merge(own.needs());
    demand.needs.residual |= own.update.refit && own.residual && (site == InputSite::output || site == InputSite::down);
    demand.shuffles |= own.shuffles();
    demand.refit |= own.update.refit;
    demand.obs |= own.update.mask_update == MaskUpdate::obs;
    demand.admm |= own.update.mask_update == MaskUpdate::admm;
    demand.descent |= own.update.descent;
    demand.scores_by_obs |= own.saliency->needs.gram;
    demand.reads_gram |= own.update.needs_ordered_gram();
  }
  const double square = demand.in * demand.in;
  if (demand.needs.gram) cost.operations += tokens * square + 2 * square * demand.in;
  if (demand.needs.cross) cost.operations += 2 * tokens * square;
  double statistics = 4 * demand.in * kSampleTokens;
  if (demand.needs.gram) statistics += 4 * square;
  if (demand.needs.cross) statistics += 4 * square;
  if (demand.needs.residual) statistics += 4 * hidden_size * demand.in;
  if (demand.needs.entropy) statistics += 4 * demand.in * recipe.base.entropy_bins;
  cost.statistics_bytes = static_cast<int64_t>(statistics);
  cost.solve_bytes = static_cast<int64_t>(solve_bytes(demand, hidden_size));
  return cost;
}

bool carries_dense(const Model& model, const Recipe& recipe) {
  for (const DecoderBlock& block : model.blocks())
    for (InputSite site : kInputSites)
      for (const LinearLayer* linear : block.linears_at(site))
        if (recipe.for_linear(linear->name(), recipe.base.target).needs().cross) return true;
  return false;
}

struct BlockCost {
  double operations = 0;  // but for the forward passes
  double elements = 0;
  int64_t peak_bytes = 0;
  bool chooses_neurons = false;  // one more pass when sites are gathered one at a time
};

// What choosing the dense neurons of Spense takes beside that: the statistics of both sites, and where the choice
// needs second moments a factor of the larger one and two copies of its weights.
void add_neuron_choice(const DecoderBlock& block, const Recipe& recipe, double tokens, BlockCost& cost) {
  double statistics = 0, most = 0;
  for (InputSite site : {InputSite::mlp, InputSite::down}) {
    StatisticsNeeds needs;
    double in = 0, weights = 0;
    for (const LinearLayer* linear : block.linears_at(site)) {
      const LinearRecipe own = recipe.for_linear(linear->name(), recipe.base.target);
      if (!own.is_spense() || own.spense.mode != SpenseMode::neuron_aligned) continue;
      needs.merge(selection_needs(own.spense.selection, *own.saliency));
      in = static_cast<double>(linear->in_features());
      weights += 4 * in * static_cast<double>(linear->out_features());
    }
    cost.chooses_neurons |= needs.any();
    const double gram = needs.gram ? 4 * in * in : 0;
    if (needs.gram) cost.operations += tokens * in * in + 2 * in * in * in;
    statistics += 4 * in * kSampleTokens + gram;
    most = std::max(most, 3 * weights + 4 * gram);
  }
  cost.peak_bytes = std::max(cost.peak_bytes, static_cast<int64_t>(statistics + most));
}

BlockCost block_cost(const DecoderBlock& block, const Recipe& recipe, double tokens, double hidden_size, bool singly) {
  BlockCost total;
  int64_t waiting = 0, weights = 0;  // statistics of sites that are not solved yet; weights mapped or replaced
  std::array<SiteCost, kInputSites.size()> costs;
  for (InputSite site : kInputSites) {
    SiteCost& cost = costs[static_cast<size_t>(site)] = site_cost(block, site, recipe, tokens, hidden_size);
    total.operations += cost.operations;
    waiting += cost.statistics_bytes;
    for (const LinearLayer* linear : block.linears_at(site)) {
      weights += linear->weight_bytes();
      total.elements += static_cast<double>(linear->out_features()) * static_cast<double>(linear->in_features());
    }
  }
  for (InputSite site : kInputSites) {
    const SiteCost& cost = costs[static_cast<size_t>(site)];
    waiting -= cost.statistics_bytes;
    for (const LinearLayer* linear : block.linears_at(site)) weights += linear->weight_bytes();
    const int64_t before = cost.statistics_bytes + (singly ? 0 : waiting);
    total.peak_bytes =
        std::max(total.peak_bytes, weights + std::max(before, cost.solve_bytes + (singly ? 0 : waiting)));
  }
  add_neuron_choice(block, recipe, tokens, total);
  return total;
}

}  // namespace

PruneEstimate estimate_pruning(const Model& model, const Recipe& recipe, int64_t windows, int64_t window_tokens,
                               bool one_site_at_a_time) {
  PruneEstimate estimate;
  const ModelConfig& config = model.config();
  const double tokens = static_cast<double>(windows) * static_cast<double>(window_tokens);
  const int streams = carries_dense(model, recipe) ? 2 : 1;
  const bool singly = one_site_at_a_time || recipe.sequential || streams == 2;
  int64_t peak = 0;
  for (const DecoderBlock& block : model.blocks()) {
    const BlockCost cost = block_cost(block, recipe, tokens, static_cast<double>(config.hidden_size), singly);
    // Gathering site by site runs about two and a half blocks, all at once one; then once more to go on.
    const double passes = (singly ? 3.5 : 2.0) * streams + (singly && cost.chooses_neurons ? 1 : 0);
    estimate.operations += cost.operations + 2 * cost.elements * tokens * passes;
    peak = std::max(peak, cost.peak_bytes);
  }
  const int64_t activations =
      window_tokens * 4 * (6 * config.hidden_size + 4 * config.intermediate_size + 2 * config.kv_features());
  constexpr int64_t kProgram = 64 << 20;
  estimate.resident_bytes = peak + (windows > 0 ? activations * streams : 0) + kProgram;
  estimate.disk_bytes = static_cast<int64_t>(tokens) * config.hidden_size * 4 * 2 * streams;
  return estimate;
}

double measure_product_rate() {
  constexpr int64_t kSize = 768;
  Matrix<float> a(kSize, kSize), b(kSize, kSize), c(kSize, kSize);
  using Clock = std::chrono::steady_clock;
  gemm(Op::none, Op::none, 1.0f, a.view(), b.view(), 0.0f, c.view());
  const auto start = Clock::now();
  double seconds = 0;
  int64_t done = 0;
  for (; seconds < 0.1; ++done) {
    gemm(Op::none, Op::none, 1.0f, a.view(), b.view(), 0.0f, c.view());
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }
  return 2.0 * kSize * kSize * kSize * static_cast<double>(done) / seconds;
}

}  // namespace esparse

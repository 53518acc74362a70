#include "prune/estimate.h"

#include <algorithm>
#include <chrono>

#include "base/parallel.h"
#include "linalg/gemm.h"

namespace esparse {
namespace {

struct SiteCost {
  double operations = 0;
  int64_t statistics_bytes = 0;  // kept until the site is solved
  int64_t solve_bytes = 0;
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

SiteCost site_cost(const DecoderBlock& block, InputSite site, const Recipe& recipe, double tokens) {
  SiteCost cost;
  StatisticsNeeds needs;
  double elements = 0;
  int64_t in = 0, inner = 0;
  for (const LinearLayer* linear : block.linears_at(site)) {
    const LinearRecipe own = recipe.for_linear(linear->name(), recipe.base.target);
    in = linear->in_features();
    const double size = static_cast<double>(linear->out_features()) * static_cast<double>(in);
    elements += size;
    if (!own.prunes()) continue;
    needs.merge(own.needs());
    inner = std::max(inner, linear->out_features());
    const double width = static_cast<double>(in);
    if (own.update.refit) cost.operations += 4 * size * width;
    if (own.update.mask_update == MaskUpdate::obs) cost.operations += size * width;
    if (own.update.mask_update == MaskUpdate::admm) cost.operations += 2 * size * width * 60;
    if (own.update.descent) cost.operations += 2 * size * width * (0.6 * own.sweeps);
    if (own.shuffles()) cost.operations += shuffle_operations(own, static_cast<double>(linear->out_features()), width);
  }
  const double square = static_cast<double>(in) * static_cast<double>(in);
  if (needs.gram) cost.operations += tokens * square + 2 * square * static_cast<double>(in);
  if (needs.cross) cost.operations += 2 * tokens * square;
  const auto matrix = static_cast<int64_t>(4 * square);
  cost.statistics_bytes = (needs.gram ? matrix : 0) + (needs.cross ? matrix : 0) +
                          (needs.entropy ? in * 4 * recipe.base.entropy_bins : 0) + kSampleTokens * in * 4;
  // Weights, targets, scores and what is made of the one at work; the factor is found in double.
  cost.solve_bytes = static_cast<int64_t>(16 * elements) + 12 * inner * in + (needs.gram ? 4 * matrix : 0);
  return cost;
}

}  // namespace

PruneEstimate estimate_pruning(const Model& model, const Recipe& recipe, int64_t windows, int64_t window_tokens,
                               bool one_site_at_a_time) {
  PruneEstimate estimate;
  const ModelConfig& config = model.config();
  const double tokens = static_cast<double>(windows) * static_cast<double>(window_tokens);
  int64_t peak = 0;
  bool cross = false;
  for (const DecoderBlock& block : model.blocks()) {
    int64_t gathered = 0, solve = 0, weights = 0;
    double elements = 0;
    for (InputSite site : kInputSites) {
      const SiteCost cost = site_cost(block, site, recipe, tokens);
      estimate.operations += cost.operations;
      gathered = one_site_at_a_time ? std::max(gathered, cost.statistics_bytes) : gathered + cost.statistics_bytes;
      solve = std::max(solve, cost.solve_bytes);
      for (const LinearLayer* linear : block.linears_at(site)) {
        weights += 2 * linear->weight_bytes();  // mapped, and replaced
        elements += static_cast<double>(linear->out_features()) * static_cast<double>(linear->in_features());
        cross |= recipe.for_linear(linear->name(), recipe.base.target).needs().cross;
      }
    }
    // Gathering site by site runs about two and a half blocks, all at once one; then once more to go on.
    const double passes = (one_site_at_a_time ? 3.5 : 2.0) * (cross ? 2 : 1);
    if (tokens > 0) estimate.operations += 2 * elements * tokens * passes;
    peak = std::max(peak, gathered + solve + weights);
  }
  const int64_t activations =
      window_tokens * 4 * (6 * config.hidden_size + 4 * config.intermediate_size + 2 * config.kv_features());
  constexpr int64_t kProgram = 64 << 20;
  estimate.resident_bytes = peak + activations * (cross ? 2 : 1) + kProgram;
  estimate.disk_bytes = static_cast<int64_t>(tokens) * config.hidden_size * 4 * 2 * (cross ? 2 : 1);
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

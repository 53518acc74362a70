#include "prune/prune_model.h"

#include <array>
#include <cstring>

#include "base/progress.h"
#include "calibrate/calibration.h"
#include "prune/channel_orders.h"
#include "prune/layer_problem.h"

namespace esparse {
namespace {

using SiteSolutions = std::array<LayerSolution, kInputSites.size()>;

LayerProblem make_problem(const DecoderBlock& block, InputSite site, InputStatistics statistics,
                          const ModelConfig& config) {
  LayerProblem problem;
  for (const LinearLayer* linear : block.linears_at(site)) problem.weights.push_back(linear->weight_as_f32());
  problem.statistics = std::move(statistics);
  if (site == InputSite::output) problem.freedom = {config.num_heads, config.num_kv_heads};
  return problem;
}

// The weight with zeros where the mask is, packed. The mask's rows are in the order that the weight had before `rows`.
Result<NmMatrix> pack_masked(const LinearLayer& linear, const Matrix<uint8_t>& mask, const ChannelOrder& rows,
                             NmPattern pattern) {
  const auto& dense = std::get<DenseView>(linear.weight());
  const int64_t width = dtype_bytes(dense.dtype);
  std::vector<std::byte> masked(static_cast<size_t>(dense.out_features * dense.row_bytes()));
  for (int64_t i = 0; i < dense.out_features; ++i) {
    const auto kept = mask.row(rows.empty() ? i : rows[i]);
    for (int64_t k = 0; k < dense.in_features; ++k) {
      const int64_t offset = i * dense.row_bytes() + k * width;
      if (kept[k] != 0) std::memcpy(masked.data() + offset, dense.data + offset, width);
    }
  }
  return pack_nm(pattern, dense.dtype, masked, dense.out_features, dense.in_features);
}

Status install(DecoderBlock& block, const SiteSolutions& solutions, const ModelConfig& config, NmPattern pattern,
               PruneReport& report) {
  BlockOrders orders;
  for (size_t site = 0; site < orders.size(); ++site) orders[site] = solutions[site].order;
  apply_channel_orders(block, orders, config);
  for (InputSite site : kInputSites) {
    const LayerSolution& solution = solutions[static_cast<size_t>(site)];
    const auto linears = block.linears_at(site);
    for (size_t index = 0; index < linears.size(); ++index) {
      LinearLayer& linear = *linears[index];
      auto packed = pack_masked(linear, solution.masks[index], row_order(block, linear, orders, config), pattern);
      if (!packed.ok()) return packed.status().with_context(linear.name());
      const int64_t bytes_dense = linear.weight_bytes();
      linear.set_packed(std::move(packed).value());
      report.linears.push_back({linear.name(), linear.out_features(), linear.in_features(), solution.retained[index],
                                bytes_dense, linear.weight_bytes()});
    }
  }
  return {};
}

}  // namespace

Status check_prunable(const Model& model, const Recipe& recipe) {
  ESPARSE_RETURN_IF_ERROR(recipe.validate());
  for (const DecoderBlock& block : model.blocks()) {
    if (!block.attention_order.empty() || !block.mlp_order.empty())
      return unsupported("{}: the model's channels are shuffled already; prune the dense model instead", block.name);
    for (InputSite site : kInputSites)
      for (const LinearLayer* linear : block.linears_at(site))
        if (linear->is_packed())
          return unsupported("{}: the weight is packed already; prune the dense model instead", linear->name());
  }
  return {};
}

Result<PruneReport> prune_model(Model& model, const Recipe& recipe, const std::vector<std::vector<int32_t>>& windows) {
  ESPARSE_RETURN_IF_ERROR(check_prunable(model, recipe));
  const StatisticsNeeds needs = recipe.saliency->needs;
  Calibration calibration(model, needs.any() ? windows : std::vector<std::vector<int32_t>>{});
  PruneReport report;
  const auto layers = static_cast<int64_t>(model.blocks().size());
  Progress progress("prune", layers * static_cast<int64_t>(kInputSites.size()));
  for (int64_t layer = 0; layer < layers; ++layer) {
    DecoderBlock& block = model.blocks()[layer];
    ESPARSE_ASSIGN_OR_RETURN(BlockStatistics statistics,
                             calibration.gather(layer, needs, recipe.entropy_range, recipe.entropy_bins));
    SiteSolutions solutions;
    for (InputSite site : kInputSites) {
      const auto index = static_cast<size_t>(site);
      solutions[index] = solve_layer(make_problem(block, site, std::move(statistics[index]), model.config()), recipe);
      progress.advance(1, block.name);
    }
    ESPARSE_RETURN_IF_ERROR(install(block, solutions, model.config(), recipe.pattern, report));
    if (layer + 1 < layers) calibration.advance(layer);
  }
  return report;
}

}  // namespace esparse

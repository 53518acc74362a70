#include "prune/allocate_model.h"

#include "base/progress.h"
#include "calibrate/calibration.h"

namespace esparse {
namespace {

Result<double> outlier_percent(const DecoderBlock& block, const BlockStatistics& statistics, const Recipe& recipe) {
  ESPARSE_ASSIGN_OR_RETURN(const SaliencyMethod* wanda, find_saliency("wanda"));
  OutlierRatio ratio(recipe.owl.outlier_multiple);
  for (const bool counting : {false, true})
    for (InputSite site : kInputSites)
      for (const LinearLayer* linear : block.linears_at(site)) {
        const Matrix<float> weight = linear->weight_as_f32();
        Matrix<float> scores(weight.rows(), weight.cols());
        wanda->score(weight.view(), statistics[static_cast<size_t>(site)], recipe.base.saliency_options, scores.view());
        counting ? ratio.add_to_count(scores.view()) : ratio.add_to_mean(scores.view());
      }
  return ratio.percent();
}

}  // namespace

Result<ModelAllocation> allocate_model(const Model& model, const Recipe& recipe,
                                       const std::vector<std::vector<int32_t>>& windows,
                                       const std::filesystem::path& directory, BlockRunner* runner) {
  ModelAllocation allocation;
  const auto blocks = static_cast<int64_t>(model.blocks().size());
  if (recipe.allocation == Allocation::uniform) {
    allocation.targets.assign(blocks, recipe.base.target);
    return allocation;
  }
  std::error_code error;
  if (!directory.empty() && !std::filesystem::create_directory(directory, error) && error)
    return io_error("{}: {}", directory.string(), error.message());
  ESPARSE_ASSIGN_OR_RETURN(Calibration calibration,
                           Calibration::begin(model, windows, {.directory = directory, .runner = runner}));
  BlockRequest request;
  for (SiteRequest& site : request) site.needs.norms = true;
  Progress progress("allocate", blocks);
  for (int64_t layer = 0; layer < blocks; ++layer) {
    const DecoderBlock& block = model.blocks()[layer];
    ESPARSE_ASSIGN_OR_RETURN(const BlockStatistics statistics, calibration.gather(block, block, kInputSites, request));
    ESPARSE_ASSIGN_OR_RETURN(const double percent, outlier_percent(block, statistics, recipe));
    allocation.outlier_percent.push_back(percent);
    if (layer + 1 < blocks) ESPARSE_RETURN_IF_ERROR(calibration.advance(block, block));
    calibration.forget_previous();
    model.release_block_pages(layer);
    progress.advance(1, block.name);
  }
  if (!directory.empty()) std::filesystem::remove_all(directory, error);
  ESPARSE_ASSIGN_OR_RETURN(allocation.targets, owl_targets(allocation.outlier_percent, recipe.owl, recipe.base.target));
  return allocation;
}

}  // namespace esparse

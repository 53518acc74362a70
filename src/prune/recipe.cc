#include "prune/recipe.h"

#include <cmath>

namespace esparse {
namespace {
constexpr int64_t kMaxShuffleBlock = 4096;  // the search keeps 8 x block^2 bytes per block: 128 MiB
}

Status Recipe::validate() const {
  if (saliency == nullptr) return invalid_argument("--saliency: none chosen");
  if (!std::isfinite(saliency_options.alpha) || saliency_options.alpha < 0)
    return invalid_argument("--alpha: expected a number of at least 0, got {}", saliency_options.alpha);
  if (!std::isfinite(saliency_options.ria_power) || saliency_options.ria_power < 0)
    return invalid_argument("--ria-power: expected a number of at least 0, got {}", saliency_options.ria_power);
  if (entropy_bins < 2 || entropy_bins > 4096)
    return invalid_argument("--bins: expected 2 to 4096, got {}", entropy_bins);
  if (shuffle.block < pattern.group)
    return invalid_argument("--shuffle-block: expected at least one group of {} channels, got {}", pattern.group,
                            shuffle.block);
  if (shuffle.block > kMaxShuffleBlock)
    return invalid_argument("--shuffle-block: expected at most {} channels, got {}", kMaxShuffleBlock, shuffle.block);
  return {};
}

Json Recipe::to_json() const {
  Json json = {{"saliency", saliency->name}, {"pattern", pattern.text()}, {"shuffle", shuffle.text()}};
  if (shuffle.global) json["deal"] = shuffle.deal == DealStyle::snake ? "snake" : "deal";
  if (shuffle.local) json["shuffle_block"] = shuffle.block;
  if (saliency->needs.norms) json["norm_reduction"] = norm_reduction_name(saliency_options.norm_reduction);
  if (saliency->reads_alpha) json["alpha"] = saliency_options.alpha;
  if (saliency->reads_ria_power) json["ria_power"] = saliency_options.ria_power;
  if (saliency->needs.entropy) {
    json["bins"] = entropy_bins;
    json["entropy_range"] = entropy_range.text();
  }
  return json;
}

}  // namespace esparse

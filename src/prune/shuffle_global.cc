#include <algorithm>

#include "prune/shuffle.h"

namespace esparse {
namespace {

// Mean saliency of every channel, rows added in their order: equal columns get equal means.
std::vector<double> channel_means(MatrixView<const float> saliency) {
  std::vector<double> means(saliency.cols);
  for (int64_t row = 0; row < saliency.rows; ++row) {
    const float* scores = saliency.row(row).data();
    for (int64_t j = 0; j < saliency.cols; ++j) means[j] += scores[j];
  }
  for (double& mean : means) mean /= static_cast<double>(std::max<int64_t>(saliency.rows, 1));
  return means;
}

// Rank r goes to slot r div G of group r mod G; `snake` deals every second round backwards.
ChannelOrder deal(const ChannelOrder& ranked, NmPattern pattern, DealStyle style) {
  const auto channels = static_cast<int64_t>(ranked.size());
  const int64_t groups = channels / pattern.group;
  ChannelOrder order(ranked.size());
  for (int64_t rank = 0; rank < channels; ++rank) {
    const int64_t slot = rank / groups;
    const bool backwards = style == DealStyle::snake && slot % 2 == 1;
    const int64_t group = backwards ? groups - 1 - rank % groups : rank % groups;
    order[group * pattern.group + slot] = ranked[rank];
  }
  return order;
}

}  // namespace

ChannelOrder global_naive_shuffle(MatrixView<const float> saliency, NmPattern pattern, DealStyle style) {
  ESPARSE_CHECK(pattern.valid() && saliency.cols % pattern.group == 0);
  const std::vector<double> means = channel_means(saliency);
  ChannelOrder ranked = identity_order(saliency.cols);
  std::ranges::stable_sort(ranked, [&](int32_t a, int32_t b) { return means[a] > means[b]; });
  return deal(ranked, pattern, style);
}

ChannelOrder heuristic_allocation(MatrixView<const float> saliency, NmPattern pattern) {
  ESPARSE_CHECK(pattern.valid() && saliency.cols % pattern.group == 0);
  const std::vector<double> means = channel_means(saliency);
  ChannelOrder ranked = identity_order(saliency.cols);
  std::ranges::stable_sort(ranked, [&](int32_t a, int32_t b) { return means[a] < means[b]; });
  return deal(ranked, pattern, DealStyle::snake);
}

}  // namespace esparse

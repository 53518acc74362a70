#include "prune/shuffle.h"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

double row_mass(const float* scores, NmPattern pattern, std::span<const int32_t> order) {
  std::array<float, NmPattern::kMaxGroup> group;
  double mass = 0.0;
  for (size_t first = 0; first < order.size(); first += pattern.group) {
    const auto width = static_cast<int64_t>(std::min<size_t>(pattern.group, order.size() - first));
    const int64_t kept = pattern.kept_in(width);
    for (int64_t k = 0; k < width; ++k) group[k] = scores[order[first + k]];
    std::partial_sort(group.begin(), group.begin() + kept, group.begin() + width, std::greater<>());
    for (int64_t k = 0; k < kept; ++k) mass += group[k];
  }
  return mass;
}

}  // namespace

Result<DealStyle> parse_deal_style(std::string_view text) {
  if (text == "snake") return DealStyle::snake;
  if (text == "deal") return DealStyle::deal;
  return invalid_argument("deal {:?}: expected snake or deal", text.substr(0, 40));
}

Result<ShuffleOptions> ShuffleOptions::parse(std::string_view text) {
  for (bool global : {false, true}) {
    for (bool local : {false, true}) {
      ShuffleOptions options;
      options.global = global;
      options.local = local;
      if (options.text() == text) return options;
    }
  }
  return invalid_argument("shuffle {:?}: expected none, global, local or global+local", text.substr(0, 40));
}

std::string_view ShuffleOptions::text() const {
  if (global) return local ? "global+local" : "global";
  return local ? "local" : "none";
}

ChannelOrder identity_order(int64_t channels) {
  ChannelOrder order(channels);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

double retained_mass(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> order) {
  ESPARSE_CHECK(pattern.valid());
  ESPARSE_CHECK(static_cast<int64_t>(order.size()) == saliency.cols);
  constexpr int64_t kChunkRows = 64;  // fixed, so that the sum is the same for any number of threads
  std::vector<double> partial(ceil_div(saliency.rows, kChunkRows));
  const int64_t operations = saliency.rows * saliency.cols * pattern.group;
  parallel_for_sized(static_cast<int64_t>(partial.size()), operations, [&](int64_t chunk, int) {
    const int64_t end = std::min(saliency.rows, (chunk + 1) * kChunkRows);
    for (int64_t row = chunk * kChunkRows; row < end; ++row)
      partial[chunk] += row_mass(saliency.row(row).data(), pattern, order);
  });
  return std::accumulate(partial.begin(), partial.end(), 0.0);
}

ChannelOrder find_channel_order(MatrixView<const float> saliency, NmPattern pattern, const ShuffleOptions& options) {
  if (const int64_t tail = saliency.cols % pattern.group; tail != 0) {
    const int64_t whole = saliency.cols - tail;
    ChannelOrder order = find_channel_order(saliency.cols_from(0, whole), pattern, options);
    for (int64_t channel = whole; channel < saliency.cols; ++channel) order.push_back(static_cast<int32_t>(channel));
    return order;
  }
  ChannelOrder order = identity_order(saliency.cols);
  if (options.local) order = local_block_shuffle(saliency, pattern, std::move(order), options.block);
  if (!options.global) return order;
  ChannelOrder dealt = global_naive_shuffle(saliency, pattern, options.deal);
  if (!options.local) return dealt;
  dealt = local_block_shuffle(saliency, pattern, std::move(dealt), options.block);
  return retained_mass(saliency, pattern, dealt) > retained_mass(saliency, pattern, order) ? dealt : order;
}

}  // namespace esparse

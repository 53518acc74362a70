#include "prune/shuffle_block.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/shuffle_kernels.h"
#include "prune/shuffle_panel.h"

namespace esparse {

BlockSwapSearch::BlockSwapSearch(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> channels,
                                 double min_gain)
    : pattern_(pattern),
      channels_(static_cast<int64_t>(channels.size())),
      groups_(channels_ / pattern.group),
      padded_rows_(padded_rows(saliency.rows)),
      min_gain_(min_gain),
      columns_(channels.begin(), channels.end()),
      members_(channels_),
      group_of_(channels_),
      values_(channels_ * padded_rows_),
      thresholds_(channels_ * padded_rows_),
      sums_(channels_ * channels_),
      mass_(groups_),
      best_(groups_ * groups_) {
  ESPARSE_CHECK(pattern.valid() && channels_ % pattern.group == 0);
  for (int64_t c = 0; c < channels_; ++c) {
    members_[c] = static_cast<int32_t>(c);
    group_of_[c] = static_cast<int32_t>(c / pattern.group);
  }
  for (int64_t panel = 0; panel * kPanelRows < padded_rows_; ++panel)
    load_panel(saliency, panel * kPanelRows, panel_rows(panel), columns_, values_.data() + panel_offset(panel));
  const std::vector<uint8_t> all(groups_, 1);
  parallel_for_sized(groups_, groups_ * threshold_operations(), [&](int64_t group, int) { refresh_thresholds(group); });
  refresh(all);
}

int64_t BlockSwapSearch::panel_offset(int64_t panel) const { return panel * kPanelRows * channels_; }

int64_t BlockSwapSearch::panel_rows(int64_t panel) const {
  return std::min(kPanelRows, padded_rows_ - panel * kPanelRows);
}

// t_c of the group's channels, and the group's mass.
void BlockSwapSearch::refresh_thresholds(int64_t group) {
  const int32_t* members = members_.data() + group * pattern_.group;
  std::array<const float*, NmPattern::kMaxGroup> values;
  std::array<float*, NmPattern::kMaxGroup> thresholds;
  mass_[group] = 0.0;
  for (int64_t panel = 0; panel * kPanelRows < padded_rows_; ++panel) {
    const int64_t rows = panel_rows(panel);
    for (int k = 0; k < pattern_.group; ++k) {
      values[k] = values_.data() + panel_offset(panel) + members[k] * rows;
      thresholds[k] = thresholds_.data() + panel_offset(panel) + members[k] * rows;
    }
    mass_[group] +=
        shuffle_kernels().group_thresholds(values.data(), pattern_.kept, pattern_.group, rows, thresholds.data());
  }
}

// The rows P[c] of at most kThresholdsAtOnce channels.
void BlockSwapSearch::refresh_gains(std::span<const int32_t> channels) {
  std::array<const float*, kThresholdsAtOnce> thresholds;
  std::array<double*, kThresholdsAtOnce> sums;
  const auto count = static_cast<int64_t>(channels.size());
  for (int64_t i = 0; i < count; ++i) {
    sums[i] = sums_.data() + channels[i] * channels_;
    std::fill_n(sums[i], channels_, 0.0);
  }
  for (int64_t panel = 0; panel * kPanelRows < padded_rows_; ++panel) {
    const int64_t rows = panel_rows(panel);
    for (int64_t i = 0; i < count; ++i) thresholds[i] = thresholds_.data() + panel_offset(panel) + channels[i] * rows;
    shuffle_kernels().add_sums_of_max(thresholds.data(), count, values_.data() + panel_offset(panel), channels_, rows,
                                      sums.data());
  }
}

double BlockSwapSearch::gain(int64_t a, int64_t b) const {
  const double* from_a = sums_.data() + a * channels_;
  const double* from_b = sums_.data() + b * channels_;
  return (from_a[b] - from_a[a]) + (from_b[a] - from_b[b]);
}

BlockSwapSearch::Swap BlockSwapSearch::best_swap(int64_t s, int64_t t) const {
  Swap best;
  for (int i = 0; i < pattern_.group; ++i) {
    for (int k = 0; k < pattern_.group; ++k) {
      const int32_t a = members_[s * pattern_.group + i];
      const int32_t b = members_[t * pattern_.group + k];
      if (const double value = gain(a, b); value > best.gain) best = {value, a, b};
    }
  }
  return best;
}

void BlockSwapSearch::refresh_best_swaps(const std::vector<uint8_t>& changed) {
  const auto pairs = groups_ * std::ranges::count(changed, 1);
  parallel_for_sized(groups_, pairs * pattern_.group * pattern_.group, [&](int64_t s, int) {
    for (int64_t t = s + 1; t < groups_; ++t)
      if ((changed[s] | changed[t]) != 0) best_[s * groups_ + t] = best_swap(s, t);
  });
}

// Brings P and the best swaps up to date with the thresholds of the groups that changed.
void BlockSwapSearch::refresh(const std::vector<uint8_t>& changed) {
  std::vector<int32_t> channels;
  for (int64_t group = 0; group < groups_; ++group) {
    const auto first = members_.begin() + group * pattern_.group;
    if (changed[group] != 0) channels.insert(channels.end(), first, first + pattern_.group);
  }
  const auto count = static_cast<int64_t>(channels.size());
  const int64_t work = count * channels_ * padded_rows_;
  parallel_for_sized(ceil_div(count, kThresholdsAtOnce), work, [&](int64_t index, int) {
    const int64_t first = index * kThresholdsAtOnce;
    refresh_gains(std::span(channels).subspan(first, std::min(kThresholdsAtOnce, count - first)));
  });
  max_additions_ += work;
  refresh_best_swaps(changed);
}

// The swaps of a round, best first. Only the best of each pair of groups can be among them: once it is made, or one of
// its groups is taken by a better one, the pair is out of the round.
std::vector<BlockSwapSearch::Swap> BlockSwapSearch::choose_swaps() const {
  constexpr double kShareOfBest = 1e-5;  // docs/methods/channel-shuffle.md
  double largest = 0.0;
  for (const Swap& swap : best_) largest = std::max(largest, swap.gain);
  const double wanted = std::max(kShareOfBest * largest, min_gain_);
  std::vector<Swap> swaps;
  for (const Swap& swap : best_)
    if (swap.first >= 0 && swap.gain >= wanted) swaps.push_back(swap);
  std::ranges::sort(swaps, [](const Swap& a, const Swap& b) {
    return std::tuple(-a.gain, a.first, a.second) < std::tuple(-b.gain, b.first, b.second);
  });
  std::vector<uint8_t> taken(groups_);
  std::erase_if(swaps, [&](const Swap& swap) {
    uint8_t& s = taken[group_of_[swap.first]];
    uint8_t& t = taken[group_of_[swap.second]];
    const bool skip = (s | t) != 0;
    if (!skip) s = t = 1;
    return skip;
  });
  return swaps;
}

void BlockSwapSearch::exchange(const Swap& swap) {
  const int64_t s = group_of_[swap.first];
  const int64_t t = group_of_[swap.second];
  *std::find(members_.begin() + s * pattern_.group, members_.end(), swap.first) = swap.second;
  *std::find(members_.begin() + t * pattern_.group, members_.end(), swap.second) = swap.first;
  std::swap(group_of_[swap.first], group_of_[swap.second]);
  refresh_thresholds(s);
  refresh_thresholds(t);
}

// Makes the swap if the masses of the two groups, summed in double, agree that it gains: gains are float sums, and one
// that is nothing but rounding must not lower the mass or be made back and forth for ever.
bool BlockSwapSearch::make(const Swap& swap) {
  const int64_t s = group_of_[swap.first];
  const int64_t t = group_of_[swap.second];
  const double before = mass_[s] + mass_[t];
  exchange(swap);
  if (mass_[s] + mass_[t] > before) return true;
  exchange({swap.gain, swap.second, swap.first});
  return false;
}

bool BlockSwapSearch::run_round() {
  const std::vector<Swap> swaps = choose_swaps();
  std::vector<uint8_t> made(swaps.size());
  // The swaps of a round share no group, so they are made independently.
  const auto count = static_cast<int64_t>(swaps.size());
  parallel_for_sized(count, 2 * count * threshold_operations(),
                     [&](int64_t index, int) { made[index] = make(swaps[index]); });
  std::vector<uint8_t> changed(groups_);
  bool any = false;
  for (size_t index = 0; index < swaps.size(); ++index) {
    const int64_t s = group_of_[swaps[index].first];
    const int64_t t = group_of_[swaps[index].second];
    if (made[index] != 0) {
      changed[s] = changed[t] = 1;
      any = true;
    } else {
      best_[std::min(s, t) * groups_ + std::max(s, t)] = {};  // until one of the two groups changes
    }
  }
  if (any) refresh(changed);
  return any;
}

std::vector<int32_t> BlockSwapSearch::order() const {
  std::vector<int32_t> order(members_.size());
  std::ranges::transform(members_, order.begin(), [&](int32_t channel) { return columns_[channel]; });
  return order;
}

}  // namespace esparse

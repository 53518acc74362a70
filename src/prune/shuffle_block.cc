#include "prune/shuffle_block.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "base/parallel.h"
#include "prune/accelerator.h"
#include "prune/shuffle_panel.h"

namespace esparse {

BlockSwapSearch::BlockSwapSearch(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> channels,
                                 double min_gain, PruneAccelerator* accelerator)
    : pattern_(pattern),
      channels_(static_cast<int64_t>(channels.size())),
      groups_(channels_ / pattern.group),
      padded_rows_(padded_rows(saliency.rows)),
      min_gain_(min_gain),
      columns_(channels.begin(), channels.end()),
      members_(channels_),
      group_of_(channels_),
      row_sums_(accelerator != nullptr ? accelerator->swap_sums(saliency, pattern, channels)
                                       : cpu_swap_sums(saliency, pattern, channels)),
      sums_(channels_ * channels_),
      mass_(groups_),
      best_(groups_ * groups_) {
  ESPARSE_CHECK(pattern.valid() && channels_ % pattern.group == 0);
  std::vector<int64_t> all(groups_);
  for (int64_t c = 0; c < channels_; ++c) {
    members_[c] = static_cast<int32_t>(c);
    group_of_[c] = static_cast<int32_t>(c / pattern.group);
  }
  std::iota(all.begin(), all.end(), 0);
  refresh_thresholds(all);
  refresh(std::vector<uint8_t>(groups_, 1));
}

// t_c of the groups' channels, and the groups' masses.
void BlockSwapSearch::refresh_thresholds(std::span<const int64_t> groups) {
  std::vector<int32_t> members;
  for (const int64_t group : groups) {
    const auto first = members_.begin() + group * pattern_.group;
    members.insert(members.end(), first, first + pattern_.group);
  }
  std::vector<double> masses(groups.size());
  row_sums_->refresh_thresholds(members, masses);
  for (size_t i = 0; i < groups.size(); ++i) mass_[groups[i]] = masses[i];
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
  row_sums_->sums_of_max(channels, MatrixView<double>(sums_.data(), channels_, channels_));
  max_additions_ += static_cast<int64_t>(channels.size()) * channels_ * padded_rows_;
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
}

// Makes the swaps, which share no group. One stays made (1 in the result) if the masses of its two groups, summed in
// double, agree that it gains: gains are float sums, and one that is nothing but rounding must not lower the mass or be
// made back and forth for ever.
std::vector<uint8_t> BlockSwapSearch::make(const std::vector<Swap>& swaps) {
  const auto mass_of = [&](const Swap& swap) { return mass_[group_of_[swap.first]] + mass_[group_of_[swap.second]]; };
  std::vector<double> before;
  std::vector<int64_t> groups;
  for (const Swap& swap : swaps) {
    before.push_back(mass_of(swap));
    exchange(swap);
    groups.insert(groups.end(), {group_of_[swap.first], group_of_[swap.second]});
  }
  refresh_thresholds(groups);
  std::vector<uint8_t> made(swaps.size());
  groups.clear();
  for (size_t index = 0; index < swaps.size(); ++index) {
    const Swap& swap = swaps[index];
    made[index] = mass_of(swap) > before[index];
    if (made[index] != 0) continue;
    exchange({swap.gain, swap.second, swap.first});
    groups.insert(groups.end(), {group_of_[swap.first], group_of_[swap.second]});
  }
  refresh_thresholds(groups);
  return made;
}

bool BlockSwapSearch::run_round() {
  const std::vector<Swap> swaps = choose_swaps();
  const std::vector<uint8_t> made = make(swaps);
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

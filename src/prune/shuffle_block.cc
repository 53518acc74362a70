#include "prune/shuffle_block.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

// sum of max(x, t); count is a multiple of kLanes.
template <int64_t kLanes>
float sum_of_max(const float* x, const float* t, int64_t count) {
  float lanes[kLanes] = {};
  for (int64_t r = 0; r < count; r += kLanes)
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] += x[r + l] > t[r + l] ? x[r + l] : t[r + l];
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

// Inserts one score per lane into lists of the `count` largest so far, largest first.
template <int64_t kLanes>
void insert_scores(const float* scores, float (*top)[kLanes], int count) {
  float x[kLanes];
  std::copy_n(scores, kLanes, x);
  for (int n = 0; n < count; ++n) {
    for (int64_t l = 0; l < kLanes; ++l) {
      const float larger = x[l] > top[n][l] ? x[l] : top[n][l];
      x[l] = x[l] > top[n][l] ? top[n][l] : x[l];
      top[n][l] = larger;
    }
  }
}

}  // namespace

BlockSwapSearch::BlockSwapSearch(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> channels,
                                 double min_gain)
    : pattern_(pattern),
      channels_(static_cast<int64_t>(channels.size())),
      groups_(channels_ / pattern.group),
      padded_rows_(ceil_div(saliency.rows, kLanes) * kLanes),
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
  load_values(saliency);
  const std::vector<uint8_t> all(groups_, 1);
  parallel_for_sized(groups_, groups_ * threshold_operations(), [&](int64_t group, int) { refresh_thresholds(group); });
  refresh(all);
}

int64_t BlockSwapSearch::panel_rows(int64_t panel) const {
  return std::min(kPanelRows, padded_rows_ - panel * kPanelRows);
}

void BlockSwapSearch::load_values(MatrixView<const float> saliency) {
  for (int64_t panel = 0; panel * kPanelRows < padded_rows_; ++panel) {
    const int64_t rows = panel_rows(panel);
    float* target = values_.data() + panel_offset(panel);
    for (int64_t r = 0; r < std::min(rows, saliency.rows - panel * kPanelRows); ++r) {
      const float* source = saliency.row(panel * kPanelRows + r).data();
      for (int64_t c = 0; c < channels_; ++c) target[c * rows + r] = source[columns_[c]];
    }
  }
}

// t_c of the group's channels, and the group's mass: a channel among the N largest scores of a row leaves the N+1st as
// N-th of the others, any other channel leaves the N-th.
void BlockSwapSearch::refresh_thresholds(int64_t group) {
  const int kept = pattern_.kept;
  const std::span members(members_.data() + group * pattern_.group, pattern_.group);
  float top[NmPattern::kMaxGroup][kLanes];
  double lanes[kLanes] = {};
  for (int64_t panel = 0; panel * kPanelRows < padded_rows_; ++panel) {
    const int64_t rows = panel_rows(panel);
    const float* values = values_.data() + panel_offset(panel);
    float* thresholds = thresholds_.data() + panel_offset(panel);
    for (int64_t r = 0; r < rows; r += kLanes) {
      std::fill_n(&top[0][0], (kept + 1) * kLanes, -std::numeric_limits<float>::infinity());
      for (int32_t c : members) insert_scores<kLanes>(values + c * rows + r, top, kept + 1);
      for (int n = 0; n < kept; ++n)
        for (int64_t l = 0; l < kLanes; ++l) lanes[l] += top[n][l];
      for (int32_t c : members) {
        const float* x = values + c * rows + r;
        float* t = thresholds + c * rows + r;
        for (int64_t l = 0; l < kLanes; ++l) t[l] = x[l] >= top[kept - 1][l] ? top[kept][l] : top[kept - 1][l];
      }
    }
  }
  mass_[group] = std::accumulate(std::begin(lanes), std::end(lanes), 0.0);
}

// The rows P[c] of the group's channels.
void BlockSwapSearch::refresh_gains(int64_t group) {
  const int32_t* members = members_.data() + group * pattern_.group;
  for (int k = 0; k < pattern_.group; ++k) std::fill_n(sums_.begin() + members[k] * channels_, channels_, 0.0);
  for (int64_t panel = 0; panel * kPanelRows < padded_rows_; ++panel) {
    const int64_t rows = panel_rows(panel);
    const float* values = values_.data() + panel_offset(panel);
    const float* thresholds = thresholds_.data() + panel_offset(panel);
    for (int64_t d = 0; d < channels_; ++d) {
      for (int k = 0; k < pattern_.group; ++k) {
        const int64_t c = members[k];
        sums_[c * channels_ + d] += sum_of_max<kLanes>(values + d * rows, thresholds + c * rows, rows);
      }
    }
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
  for (int64_t s = 0; s < groups_; ++s)
    for (int64_t t = s + 1; t < groups_; ++t)
      if ((changed[s] | changed[t]) != 0) best_[s * groups_ + t] = best_swap(s, t);
}

// Brings P and the best swaps up to date with the thresholds of the groups that changed.
void BlockSwapSearch::refresh(const std::vector<uint8_t>& changed) {
  std::vector<int64_t> groups;
  for (int64_t group = 0; group < groups_; ++group)
    if (changed[group] != 0) groups.push_back(group);
  const auto count = static_cast<int64_t>(groups.size());
  parallel_for_sized(count, count * pattern_.group * channels_ * padded_rows_,
                     [&](int64_t index, int) { refresh_gains(groups[index]); });
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

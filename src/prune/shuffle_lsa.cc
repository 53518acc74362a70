// Channel permutation by linear sum assignment, after the RIA code; docs/methods/channel-shuffle.md.
#include <algorithm>
#include <array>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/shuffle_kernels.h"
#include "prune/linear_assignment.h"
#include "prune/shuffle.h"
#include "prune/shuffle_panel.h"

namespace esparse {
namespace {

// What every group of an order would retain with the channel that any other group has in one slot.
class SlotValues {
 public:
  SlotValues(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> order, int slot)
      : saliency_(saliency),
        pattern_(pattern),
        slot_(slot),
        groups_(static_cast<int64_t>(order.size()) / pattern.group),
        channels_(order.size()),
        scores_(order.size() * kPanelRows),
        thresholds_(order.size() * kPanelRows),
        values_(groups_, groups_) {
    for (int64_t group = 0; group < groups_; ++group)
      for (int k = 0; k < pattern.group; ++k) channels_[k * groups_ + group] = order[group * pattern.group + k];
  }

  // [g][h]: the mass of group g with the channel of group h, less the N-1 largest scores of g's other channels, which
  // are the same for every h.
  Matrix<double> compute() && {
    for (int64_t row = 0; row < saliency_.rows; row += kPanelRows) {
      const int64_t rows = padded_rows(std::min(kPanelRows, saliency_.rows - row));
      load(row, rows);
      find_thresholds(rows);
      add_values(rows);
    }
    return std::move(values_);
  }

 private:
  static constexpr int64_t kPiece = 64;  // channels or groups that one piece of parallel work takes

  // The slot's channels are neighbours in a panel: member k of a group stands at k * groups + group.
  int64_t offset(int64_t group, int k, int64_t rows) const { return (k * groups_ + group) * rows; }

  void load(int64_t row, int64_t rows) {
    const auto count = static_cast<int64_t>(channels_.size());
    parallel_for_sized(ceil_div(count, kPiece), count * rows, [&](int64_t piece, int) {
      const int64_t first = piece * kPiece;
      const auto columns = std::span(channels_).subspan(first, std::min(kPiece, count - first));
      load_panel(saliency_, row, rows, columns, scores_.data() + first * rows);
    });
  }

  void find_thresholds(int64_t rows) {
    const int64_t operations = groups_ * pattern_.group * (pattern_.kept + 1) * rows;
    parallel_for_sized(ceil_div(groups_, kPiece), operations, [&](int64_t piece, int) {
      std::array<const float*, NmPattern::kMaxGroup> scores;
      std::array<float*, NmPattern::kMaxGroup> thresholds;
      for (int64_t group = piece * kPiece; group < std::min(groups_, (piece + 1) * kPiece); ++group) {
        for (int k = 0; k < pattern_.group; ++k) {
          scores[k] = scores_.data() + offset(group, k, rows);
          thresholds[k] = thresholds_.data() + offset(group, k, rows);
        }
        shuffle_kernels().group_thresholds(scores.data(), pattern_.kept, pattern_.group, rows, thresholds.data());
      }
    });
  }

  void add_values(int64_t rows) {
    const float* candidates = scores_.data() + offset(0, slot_, rows);
    parallel_for_sized(ceil_div(groups_, kThresholdsAtOnce), groups_ * groups_ * rows, [&](int64_t piece, int) {
      const int64_t first = piece * kThresholdsAtOnce, count = std::min(kThresholdsAtOnce, groups_ - first);
      std::array<const float*, kThresholdsAtOnce> thresholds;
      std::array<double*, kThresholdsAtOnce> sums;
      for (int64_t i = 0; i < count; ++i) {
        thresholds[i] = thresholds_.data() + offset(first + i, slot_, rows);
        sums[i] = values_.row(first + i).data();
      }
      shuffle_kernels().add_sums_of_max(thresholds.data(), count, candidates, groups_, rows, sums.data());
    });
  }

  MatrixView<const float> saliency_;
  NmPattern pattern_;
  int slot_;
  int64_t groups_;
  std::vector<int32_t> channels_;  // slot after slot
  std::vector<float> scores_;      // a panel, [channels, panel rows]
  std::vector<float> thresholds_;  // N-th largest of the other channels of the group, laid out as scores_
  Matrix<double> values_;
};

// Assigns one slot after the other in the block `order`.
void assign_slots(MatrixView<const float> saliency, NmPattern pattern, std::span<int32_t> order) {
  const int64_t groups = static_cast<int64_t>(order.size()) / pattern.group;
  double mass = retained_mass(saliency, pattern, order);
  for (int slot = 0; slot < pattern.group; ++slot) {
    const Matrix<double> values = SlotValues(saliency, pattern, order, slot).compute();
    const std::vector<int32_t> giver = maximal_assignment(values.view());
    ChannelOrder assigned(order.begin(), order.end());
    for (int64_t group = 0; group < groups; ++group)
      assigned[group * pattern.group + slot] = order[giver[group] * pattern.group + slot];
    // The values are f32 sums: an assignment that is better by nothing but rounding must not lower the mass.
    const double mass_assigned = retained_mass(saliency, pattern, assigned);
    if (mass_assigned <= mass) continue;
    mass = mass_assigned;
    std::ranges::copy(assigned, order.begin());
  }
}

}  // namespace

ChannelOrder lsa_shuffle(MatrixView<const float> saliency, NmPattern pattern, ChannelOrder order, int64_t blocks) {
  ESPARSE_CHECK(pattern.valid() && saliency.cols % pattern.group == 0 && blocks >= 1);
  ESPARSE_CHECK(static_cast<int64_t>(order.size()) == saliency.cols);
  const int64_t groups = saliency.cols / pattern.group;
  blocks = std::min(blocks, std::max<int64_t>(groups, 1));
  auto search_block = [&](int64_t index, int) {
    const int64_t first = groups * index / blocks, end = groups * (index + 1) / blocks;
    assign_slots(saliency, pattern, std::span(order).subspan(first * pattern.group, (end - first) * pattern.group));
  };
  // Fewer blocks than threads: one after the other, each with all threads inside. The result is the same either way.
  if (blocks < thread_count()) {
    for (int64_t index = 0; index < blocks; ++index) search_block(index, 0);
  } else {
    parallel_for_sized(blocks, saliency.rows * saliency.cols * (groups / blocks), search_block);
  }
  return order;
}

}  // namespace esparse

#include "prune/swap_sums.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/shuffle_kernels.h"
#include "prune/shuffle_panel.h"

namespace esparse {
namespace {

class CpuSwapSums final : public SwapSums {
 public:
  CpuSwapSums(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> channels)
      : pattern_(pattern),
        channels_(static_cast<int64_t>(channels.size())),
        padded_rows_(padded_rows(saliency.rows)),
        values_(channels_ * padded_rows_),
        thresholds_(channels_ * padded_rows_) {
    for (int64_t panel = 0; panel * kPanelRows < padded_rows_; ++panel)
      load_panel(saliency, panel * kPanelRows, panel_rows(panel), channels, values_.data() + panel_offset(panel));
  }

  void refresh_thresholds(std::span<const int32_t> members, std::span<double> masses) override {
    const auto groups = static_cast<int64_t>(masses.size());
    const int64_t operations = padded_rows_ * pattern_.group * (pattern_.kept + 1);  // of one group
    parallel_for_sized(groups, groups * operations, [&](int64_t group, int) {
      masses[group] = refresh_group(members.data() + group * pattern_.group);
    });
  }

  void sums_of_max(std::span<const int32_t> channels, MatrixView<double> sums) override {
    const auto count = static_cast<int64_t>(channels.size());
    parallel_for_sized(ceil_div(count, kThresholdsAtOnce), count * channels_ * padded_rows_, [&](int64_t index, int) {
      const int64_t first = index * kThresholdsAtOnce, some = std::min(kThresholdsAtOnce, count - first);
      sum_some(channels.subspan(first, some), sums);
    });
  }

 private:
  int64_t panel_offset(int64_t panel) const { return panel * kPanelRows * channels_; }
  int64_t panel_rows(int64_t panel) const { return std::min(kPanelRows, padded_rows_ - panel * kPanelRows); }

  double refresh_group(const int32_t* members) {
    std::array<const float*, NmPattern::kMaxGroup> values;
    std::array<float*, NmPattern::kMaxGroup> thresholds;
    double mass = 0.0;
    for (int64_t panel = 0; panel * kPanelRows < padded_rows_; ++panel) {
      const int64_t rows = panel_rows(panel);
      for (int k = 0; k < pattern_.group; ++k) {
        values[k] = values_.data() + panel_offset(panel) + members[k] * rows;
        thresholds[k] = thresholds_.data() + panel_offset(panel) + members[k] * rows;
      }
      mass += shuffle_kernels().group_thresholds(values.data(), pattern_.kept, pattern_.group, rows, thresholds.data());
    }
    return mass;
  }

  // Of at most kThresholdsAtOnce channels.
  void sum_some(std::span<const int32_t> channels, MatrixView<double> sums) {
    std::array<const float*, kThresholdsAtOnce> thresholds;
    std::array<double*, kThresholdsAtOnce> targets;
    const auto count = static_cast<int64_t>(channels.size());
    for (int64_t i = 0; i < count; ++i) {
      targets[i] = sums.row(channels[i]).data();
      std::fill_n(targets[i], channels_, 0.0);
    }
    for (int64_t panel = 0; panel * kPanelRows < padded_rows_; ++panel) {
      const int64_t rows = panel_rows(panel);
      for (int64_t i = 0; i < count; ++i) thresholds[i] = thresholds_.data() + panel_offset(panel) + channels[i] * rows;
      shuffle_kernels().add_sums_of_max(thresholds.data(), count, values_.data() + panel_offset(panel), channels_, rows,
                                        targets.data());
    }
  }

  NmPattern pattern_;
  int64_t channels_, padded_rows_;
  std::vector<float> values_;      // panels of [channels, panel rows]
  std::vector<float> thresholds_;  // t_c, laid out as values_
};

}  // namespace

std::unique_ptr<SwapSums> cpu_swap_sums(MatrixView<const float> saliency, NmPattern pattern,
                                        std::span<const int32_t> channels) {
  return std::make_unique<CpuSwapSums>(saliency, pattern, channels);
}

}  // namespace esparse

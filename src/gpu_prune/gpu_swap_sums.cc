#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "gpu_prune/gpu_accelerator.h"
#include "kernels/cuda/shuffle.h"

namespace esparse {
namespace {

// Channels whose sums are made in one launch: partial sums take 4 bytes times panels, these and the block's channels.
constexpr int64_t kChannelsAtOnce = 256;

class GpuSwapSums final : public SwapSums {
 public:
  GpuSwapSums(Device& device, Status& failure, NmPattern pattern, int64_t rows, int64_t channels)
      : device_(device),
        failure_(failure),
        pattern_(pattern),
        channels_(channels),
        rows_(ceil_div(rows, cuda::kShuffleRowStep) * cuda::kShuffleRowStep),
        panels_(ceil_div(rows_, cuda::kShufflePanelRows)) {}

  Status load(MatrixView<const float> saliency, std::span<const int32_t> columns) {
    std::vector<float> scores(static_cast<size_t>(channels_ * rows_));  // rows added are zero and change no sum
    constexpr int64_t kRows = 64;
    parallel_for_sized(ceil_div(saliency.rows, kRows), channels_ * rows_, [&](int64_t piece, int) {
      for (int64_t c = 0; c < channels_; ++c)
        for (int64_t row = piece * kRows; row < std::min(saliency.rows, (piece + 1) * kRows); ++row)
          scores[c * rows_ + row] = saliency(row, columns[c]);
    });
    const int64_t some = std::min(channels_, kChannelsAtOnce);
    ESPARSE_ASSIGN_OR_RETURN(values_, device_.upload(std::as_bytes(std::span(scores)), "saliency of a shuffle block"));
    ESPARSE_ASSIGN_OR_RETURN(thresholds_, device_.allocate(values_.bytes(), "thresholds of a shuffle block"));
    ESPARSE_ASSIGN_OR_RETURN(names_, device_.allocate(channels_ * int64_t{sizeof(int32_t)}, "channels of a shuffle"));
    ESPARSE_ASSIGN_OR_RETURN(masses_,
                             device_.allocate(channels_ * panels_ * int64_t{sizeof(double)}, "shuffle masses"));
    ESPARSE_ASSIGN_OR_RETURN(partial_, device_.allocate(panels_ * some * channels_ * 4, "sums of a shuffle block"));
    ESPARSE_ASSIGN_OR_RETURN(sums_, device_.allocate(some * channels_ * int64_t{sizeof(double)}, "sums of a shuffle"));
    return {};
  }

  void refresh_thresholds(std::span<const int32_t> members, std::span<double> masses) override {
    std::ranges::fill(masses, 0.0);
    if (failure_.ok() && !masses.empty()) failure_ = make_thresholds(members, masses);
  }

  void sums_of_max(std::span<const int32_t> channels, MatrixView<double> sums) override {
    for (const int32_t channel : channels) std::ranges::fill(sums.row(channel), 0.0);
    for (size_t first = 0; failure_.ok() && first < channels.size(); first += kChannelsAtOnce)
      failure_ = make_sums(channels.subspan(first, std::min<size_t>(kChannelsAtOnce, channels.size() - first)), sums);
  }

 private:
  Status make_thresholds(std::span<const int32_t> members, std::span<double> masses) {
    ESPARSE_RETURN_IF_ERROR(device_.upload_to(names_.data(), std::as_bytes(members)));
    const auto groups = static_cast<int64_t>(masses.size());
    const cuda::GroupThresholdsArgs args{
        values_.as<float>(),      thresholds_.as<float>(), names_.as<int32_t>(), masses_.as<double>(), rows_,
        static_cast<int>(groups), pattern_.kept,           pattern_.group};
    ESPARSE_RETURN_IF_ERROR(device_.launched(device_.backend().shuffle->group_thresholds(args, device_.stream()),
                                             "shuffle thresholds", {groups, pattern_.group, rows_}));
    std::vector<double> parts(static_cast<size_t>(groups * panels_));
    ESPARSE_RETURN_IF_ERROR(device_.download(std::as_writable_bytes(std::span(parts)), masses_.data()));
    for (int64_t group = 0; group < groups; ++group)
      for (int64_t panel = 0; panel < panels_; ++panel) masses[group] += parts[group * panels_ + panel];
    return {};
  }

  Status make_sums(std::span<const int32_t> channels, MatrixView<double> sums) {
    ESPARSE_RETURN_IF_ERROR(device_.upload_to(names_.data(), std::as_bytes(channels)));
    const auto count = static_cast<int64_t>(channels.size());
    const cuda::SumsOfMaxArgs args{values_.as<float>(),     thresholds_.as<float>(),    names_.as<int32_t>(),
                                   partial_.as<float>(),    sums_.as<double>(),         rows_,
                                   static_cast<int>(count), static_cast<int>(channels_)};
    ESPARSE_RETURN_IF_ERROR(device_.launched(device_.backend().shuffle->sums_of_max(args, device_.stream()),
                                             "shuffle sums", {count, channels_, rows_}));
    std::vector<double> made(static_cast<size_t>(count * channels_));
    ESPARSE_RETURN_IF_ERROR(device_.download(std::as_writable_bytes(std::span(made)), sums_.data()));
    for (int64_t i = 0; i < count; ++i)
      std::copy_n(made.begin() + i * channels_, channels_, sums.row(channels[i]).begin());
    return {};
  }

  Device& device_;
  Status& failure_;
  NmPattern pattern_;
  int64_t channels_, rows_, panels_;  // rows are padded
  DeviceBytes values_, thresholds_;   // [channels, rows]
  DeviceBytes names_, masses_, partial_, sums_;
};

}  // namespace

std::unique_ptr<SwapSums> gpu_swap_sums(Device& device, Status& failure, MatrixView<const float> saliency,
                                        NmPattern pattern, std::span<const int32_t> channels) {
  auto sums =
      std::make_unique<GpuSwapSums>(device, failure, pattern, saliency.rows, static_cast<int64_t>(channels.size()));
  if (failure.ok()) failure = sums->load(saliency, channels);
  return sums;
}

}  // namespace esparse

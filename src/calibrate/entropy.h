// Information entropy of every input channel, from histograms of its values (docs/methods/esparse.md, section 2.1).
// Two passes over the calibration inputs: ChannelRanges first, then the ChannelHistograms it makes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"

namespace esparse {

enum class EntropyRangeKind { channel, layer, quantile };

// Over which interval the bins are laid: each channel's own [min, max], one [min, max] for the whole layer, or the
// quantiles [1 - q, q] of each channel's values, outliers clamped into the end bins.
struct EntropyRange {
  EntropyRangeKind kind = EntropyRangeKind::channel;
  double quantile = 1.0;  // only for quantile, in (0.5, 1)

  static Result<EntropyRange> parse(std::string_view text);  // "channel", "layer", "quantile(0.999)"
  std::string text() const;
  bool operator==(const EntropyRange&) const = default;
};

inline constexpr int kEntropyBins = 100;  // E-Sparse

// Counts values of C channels in equal-width bins. Calls of add() must not overlap (inside, it uses all threads);
// merge() two histograms over the same ranges instead. All counts are exact integers, so neither the order of adding
// nor the number of threads changes the entropy.
class ChannelHistograms {
 public:
  // Bins over [minimum_j, maximum_j]. With quantile < 1 values are counted in kFineBins bins (16 KiB per channel), from
  // which entropy() reads the quantiles and deals the fine bins between them out to `bins`.
  ChannelHistograms(std::vector<float> minimum, std::vector<float> maximum, int bins, double quantile = 1.0);

  // inputs [tokens, channels]. bin = floor((v - min) / (max - min) * bins), clamped to [0, bins - 1].
  void add(MatrixView<const float> inputs);
  void merge(const ChannelHistograms& other);

  // For values that are counted elsewhere: into [channels, counted_bins()] as add() does, with counted_bins() in place
  // of `bins`.
  std::span<const float> minimum() const { return minimum_; }
  std::span<const float> maximum() const { return maximum_; }
  int counted_bins() const { return counted_bins_; }
  std::span<uint32_t> counts() { return counts_; }

  // H_j = -sum_k p ln p in nats, in [0, ln bins]; a constant channel has 0.
  std::vector<double> entropy() const;

 private:
  // 4096 places the quantiles within 1/4096 of the channel's range, and leaves 41 fine bins per bin without outliers.
  static constexpr int kFineBins = 4096;

  std::vector<float> minimum_, maximum_;
  int bins_;
  double quantile_;
  int counted_bins_;              // bins_, or kFineBins
  std::vector<uint32_t> counts_;  // [channels, counted_bins_]
};

// Gathers the smallest and largest value of C channels: the first pass. The rules of add() are those above.
class ChannelRanges {
 public:
  explicit ChannelRanges(int64_t channels);
  // Ranges that were found elsewhere, over finite inputs.
  ChannelRanges(std::vector<float> minimum, std::vector<float> maximum)
      : minimum_(std::move(minimum)), maximum_(std::move(maximum)), not_finite_(minimum_.size()) {}

  void add(MatrixView<const float> inputs);  // [tokens, channels]
  void merge(const ChannelRanges& other);

  const std::vector<float>& minimum() const { return minimum_; }
  const std::vector<float>& maximum() const { return maximum_; }

  // Empty histograms for the second pass. Refuses, naming the first channel, inputs that were not finite; and no
  // inputs.
  Result<ChannelHistograms> histograms(const EntropyRange& range, int bins = kEntropyBins) const;

 private:
  std::vector<float> minimum_, maximum_;
  std::vector<uint8_t> not_finite_;
};

}  // namespace esparse

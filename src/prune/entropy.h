// Information entropy of every input channel, from histograms of its values (E-Sparse section 3.1).
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

// Over which interval the bins are laid: each channel's own [min, max], one [min, max] for the whole layer, or the layer-independent
// quantiles [1 - q, q] of each channel's values, outliers clamped into the end bins.
struct EntropyRange {
  EntropyRangeKind kind = EntropyRangeKind::channel;
  double quantile = 1.0;  // only for quantile, in (0.5, 1)

  static Result<EntropyRange> parse(std::string_view text);  // "channel", "layer", "quantile(0.999)"
  std::string text() const;
};

// Counts values of C channels in `bins` equal-width bins each. Two passes over the data: first ranges, then counts.
// Adding is not thread-safe; merge() two histograms over the same ranges instead. All counts are exact integers, so the order of
// adding does not change the entropy.
class ChannelHistograms {
 public:
  ChannelHistograms(std::vector<float> minimum, std::vector<float> maximum, int bins);

  // inputs [tokens, channels]. bin = floor((v - min) / (max - min) * bins), clamped to [0, bins - 1].
  void add(MatrixView<const float> inputs);
  void merge(const ChannelHistograms& other);

  // H_j = -sum_k p ln p in nats, in [0, ln bins]; a constant channel has 0.
  std::vector<double> entropy() const;

 private:
  std::vector<float> minimum_, maximum_;
  int bins_;
  std::vector<uint32_t> counts_;  // [channels, bins]
};

}  // namespace esparse

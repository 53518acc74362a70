// Gathers the statistics of one site while calibration windows run through a block.
#pragma once

#include <optional>

#include "base/status.h"
#include "calibrate/entropy.h"
#include "calibrate/statistics.h"

namespace esparse {

struct SiteRequest {
  StatisticsNeeds needs;
  EntropyRange entropy_range;
  int entropy_bins = kEntropyBins;
};

// Which tokens the sample takes: those whose number, counted over all windows, is a multiple of this.
int64_t sample_stride(int64_t total_tokens);

// Usage: add() every window; with entropy begin_counting(), then count() every window again; then finish().
// The same bits for any thread count.
class SiteStatistics {
 public:
  // total_tokens: of all windows, to spread the sample.
  SiteStatistics(const SiteRequest& request, int64_t total_tokens) : request_(request), total_tokens_(total_tokens) {}

  // inputs [tokens, in_features] of one window.
  void add(MatrixView<const float> inputs);
  // The same inputs beside what the dense model has there: dense_inputs [tokens, in_features] and, when residual is
  // asked for, both residual streams [tokens, hidden_size].
  void add_dense(MatrixView<const float> inputs, MatrixView<const float> dense_inputs, MatrixView<const float> stream,
                 MatrixView<const float> dense_stream);

  // Refuses inputs that were not finite.
  Status begin_counting();
  void count(MatrixView<const float> inputs) { histograms_->add(inputs); }

  // Refuses inputs that were not finite.
  Result<InputStatistics> finish();

 private:
  Status check_finite() const;
  void keep_sample(MatrixView<const float> inputs);

  SiteRequest request_;
  int64_t total_tokens_;
  InputStatistics statistics_;
  std::vector<float> sample_;
  std::optional<ChannelRanges> ranges_;
  std::optional<ChannelHistograms> histograms_;
};

}  // namespace esparse

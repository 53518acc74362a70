#include "calibrate/calibration.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

constexpr int64_t kChannelsPerPiece = 64;

// sums[j] += sum over tokens of x_j^2, in token order whatever the thread count.
void add_squares(MatrixView<const float> inputs, std::vector<double>& sums) {
  sums.resize(inputs.cols);
  parallel_for_sized(ceil_div(inputs.cols, kChannelsPerPiece), inputs.rows * inputs.cols, [&](int64_t piece, int) {
    const int64_t first = piece * kChannelsPerPiece, last = std::min(first + kChannelsPerPiece, inputs.cols);
    for (int64_t token = 0; token < inputs.rows; ++token)
      for (int64_t j = first; j < last; ++j) sums[j] += static_cast<double>(inputs(token, j)) * inputs(token, j);
  });
}

// First pass: norms, and the ranges that the histograms need.
class NormsAndRanges final : public InputObserver {
 public:
  explicit NormsAndRanges(bool ranges) : want_ranges_(ranges) {}

  void observe(InputSite site, MatrixView<const float> inputs) override {
    const auto index = static_cast<size_t>(site);
    InputStatistics& statistics = statistics_[index];
    statistics.sequences += 1;
    statistics.tokens += inputs.rows;
    add_squares(inputs, statistics.sum_squares);
    if (!want_ranges_) return;
    if (!ranges_[index]) ranges_[index].emplace(inputs.cols);
    ranges_[index]->add(inputs);
  }

  BlockStatistics statistics_;
  std::array<std::optional<ChannelRanges>, kInputSites.size()> ranges_;

 private:
  bool want_ranges_;
};

// Second pass: counts.
class Histograms final : public InputObserver {
 public:
  void observe(InputSite site, MatrixView<const float> inputs) override {
    histograms_[static_cast<size_t>(site)]->add(inputs);
  }

  std::array<std::optional<ChannelHistograms>, kInputSites.size()> histograms_;
};

Status check_finite(const BlockStatistics& statistics, const std::string& block) {
  for (InputSite site : kInputSites)
    for (double sum : statistics[static_cast<size_t>(site)].sum_squares)
      if (!std::isfinite(sum))
        return numeric_error("{}: the inputs at site '{}' are not finite", block, input_site_name(site));
  return {};
}

}  // namespace

Calibration::Calibration(const Model& model, const std::vector<std::vector<int32_t>>& windows) : model_(model) {
  int64_t longest = 0;
  for (const auto& window : windows) {
    const auto tokens = static_cast<int64_t>(window.size());
    longest = std::max(longest, tokens);
    hidden_.emplace_back(tokens, model.config().hidden_size);
    model.embed(window, 0, hidden_.back().view());
  }
  cache_ = {Matrix<float>(longest, model.config().kv_features()), Matrix<float>(longest, model.config().kv_features())};
}

void Calibration::run_block(int64_t layer, InputObserver& observer) {
  for (const Matrix<float>& hidden : hidden_) {
    Matrix<float> scratch = hidden;
    model_.forward_block(layer, scratch.view(), 0, cache_, &observer);
  }
}

Result<BlockStatistics> Calibration::gather(int64_t layer, StatisticsNeeds needs, const EntropyRange& range, int bins) {
  if (!needs.any()) return BlockStatistics{};
  const std::string& block = model_.blocks()[layer].name;
  NormsAndRanges first(needs.entropy);
  run_block(layer, first);
  ESPARSE_RETURN_IF_ERROR(check_finite(first.statistics_, block));
  if (!needs.entropy) return std::move(first.statistics_);

  Histograms second;
  for (size_t site = 0; site < kInputSites.size(); ++site) {
    auto histograms = first.ranges_[site]->histograms(range, bins);
    if (!histograms.ok()) return histograms.status().with_context(block);
    second.histograms_[site].emplace(std::move(histograms).value());
  }
  run_block(layer, second);
  for (size_t site = 0; site < kInputSites.size(); ++site)
    first.statistics_[site].entropy = second.histograms_[site]->entropy();
  return std::move(first.statistics_);
}

void Calibration::advance(int64_t layer) {
  for (Matrix<float>& hidden : hidden_) model_.forward_block(layer, hidden.view(), 0, cache_, nullptr);
}

}  // namespace esparse

#include "calibrate/site_statistics.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/parallel.h"
#include "linalg/gram.h"

namespace esparse {
namespace {

constexpr int64_t kChannelsPerPiece = 64;

// sums[j] += sum over tokens of f(x_j), in token order whatever the thread count.
template <typename F>
void add_per_channel(MatrixView<const float> inputs, std::vector<double>& sums, F&& f) {
  sums.resize(inputs.cols);
  parallel_for_sized(ceil_div(inputs.cols, kChannelsPerPiece), inputs.rows * inputs.cols, [&](int64_t piece, int) {
    const int64_t first = piece * kChannelsPerPiece, last = std::min(first + kChannelsPerPiece, inputs.cols);
    for (int64_t token = 0; token < inputs.rows; ++token)
      for (int64_t j = first; j < last; ++j) sums[j] += f(static_cast<double>(inputs(token, j)));
  });
}

}  // namespace

int64_t sample_stride(int64_t total_tokens) { return std::max<int64_t>(1, ceil_div(total_tokens, kSampleTokens)); }

void SiteStatistics::keep_sample(MatrixView<const float> inputs) {
  const int64_t stride = sample_stride(total_tokens_), before = statistics_.tokens;
  for (int64_t t = ceil_div(before, stride) * stride - before; t < inputs.rows; t += stride)
    sample_.insert(sample_.end(), inputs.row(t).begin(), inputs.row(t).end());
}

void SiteStatistics::add(MatrixView<const float> inputs) {
  const StatisticsNeeds& needs = request_.needs;
  keep_sample(inputs);
  statistics_.sequences += 1;
  statistics_.tokens += inputs.rows;
  add_per_channel(inputs, statistics_.sum_squares, [](double x) { return x * x; });  // also tells what is not finite
  if (needs.sums) add_per_channel(inputs, statistics_.sum, [](double x) { return x; });
  if (needs.entropy) {
    if (!ranges_) ranges_.emplace(inputs.cols);
    ranges_->add(inputs);
  }
  if (needs.gram) {
    if (statistics_.gram.rows() == 0) statistics_.gram = Matrix<float>(inputs.cols, inputs.cols);
    add_gram(inputs, statistics_.gram.view());
  }
}

void SiteStatistics::add_dense(MatrixView<const float> inputs, MatrixView<const float> dense_inputs,
                               MatrixView<const float> stream, MatrixView<const float> dense_stream) {
  if (statistics_.cross.rows() == 0) statistics_.cross = Matrix<float>(inputs.cols, inputs.cols);
  add_cross(dense_inputs, inputs, statistics_.cross.view());
  if (!request_.needs.residual) return;
  Matrix<float> lost(stream.rows, stream.cols);
  for (int64_t t = 0; t < stream.rows; ++t)
    for (int64_t j = 0; j < stream.cols; ++j) lost(t, j) = dense_stream(t, j) - stream(t, j);
  if (statistics_.residual.rows() == 0) statistics_.residual = Matrix<float>(stream.cols, inputs.cols);
  add_cross(lost.view(), inputs, statistics_.residual.view());
}

Status SiteStatistics::check_finite() const {
  for (size_t j = 0; j < statistics_.sum_squares.size(); ++j)
    if (!std::isfinite(statistics_.sum_squares[j])) return numeric_error("input channel {} is not finite", j);
  return {};
}

Status SiteStatistics::begin_counting() {
  ESPARSE_RETURN_IF_ERROR(check_finite());
  ESPARSE_ASSIGN_OR_RETURN(ChannelHistograms histograms,
                           ranges_->histograms(request_.entropy_range, request_.entropy_bins));
  histograms_.emplace(std::move(histograms));
  return {};
}

Result<InputStatistics> SiteStatistics::finish() {
  ESPARSE_RETURN_IF_ERROR(check_finite());
  if (request_.needs.gram) mirror_upper(statistics_.gram.view());
  if (histograms_) statistics_.entropy = histograms_->entropy();
  const auto channels = static_cast<int64_t>(statistics_.sum_squares.size());
  if (channels > 0) {
    statistics_.sample = Matrix<float>(static_cast<int64_t>(sample_.size()) / channels, channels);
    std::ranges::copy(sample_, statistics_.sample.values().begin());
  }
  return std::move(statistics_);
}

}  // namespace esparse

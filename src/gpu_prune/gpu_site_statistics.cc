#include "gpu_prune/gpu_site_statistics.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "linalg/gram.h"

namespace esparse {
namespace {

using cuda::DeviceRows;
using cuda::Element;
using cuda::element_bytes;

// Of the inner size of a product: tensor cores want rows of 16 bytes.
constexpr int64_t kTokenStep = 8;

// Rows of the Gram matrix that are made together, from their diagonal on: what lies below is not computed twice.
constexpr int64_t kGramRows = 1024;

template <typename T>
std::span<std::byte> bytes_of(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

}  // namespace

Result<std::byte*> DeviceScratch::at_least(Device& device, int64_t bytes, std::string_view what) {
  if (memory_.bytes() < bytes) {
    memory_ = DeviceBytes();  // let go first
    ESPARSE_ASSIGN_OR_RETURN(memory_, device.allocate(bytes, what));
  }
  return memory_.data();
}

Status GpuSiteStatistics::begin(const DeviceRows& inputs) {
  if (channels_ == 0) {
    channels_ = inputs.channels;
    ESPARSE_ASSIGN_OR_RETURN(moments_,
                             device_.allocate(channels_ * int64_t{sizeof(cuda::ChannelMoments)}, "calibration sums"));
    const int64_t samples = std::min(kSampleTokens, total_tokens_);
    ESPARSE_ASSIGN_OR_RETURN(sample_,
                             device_.allocate(samples * channels_ * int64_t{sizeof(float)}, "calibration sample"));
  }
  ESPARSE_CHECK(inputs.channels == channels_);
  return {};
}

Status GpuSiteStatistics::keep_sample(const DeviceRows& inputs) {
  const int64_t stride = sample_stride(total_tokens_), before = statistics_.tokens;
  const int64_t first = ceil_div(before, stride) * stride - before;
  const int64_t count = first < inputs.tokens ? ceil_div(inputs.tokens - first, stride) : 0;
  ESPARSE_CHECK((sampled_ + count) * channels_ * int64_t{sizeof(float)} <= sample_.bytes());
  float* target = sample_.as<float>() + sampled_ * channels_;
  sampled_ += count;
  return device_.launched(
      device_.backend().statistics->take_rows({inputs, first, stride, count, target}, device_.stream()), "take_rows",
      {count, channels_});
}

Status GpuSiteStatistics::add(const DeviceRows& inputs) {
  ESPARSE_RETURN_IF_ERROR(begin(inputs));
  ESPARSE_RETURN_IF_ERROR(keep_sample(inputs));
  const int64_t parts = ceil_div(inputs.tokens, cuda::kMomentTokens);
  ESPARSE_ASSIGN_OR_RETURN(
      std::byte * partial,
      partial_.at_least(device_, parts * channels_ * int64_t{sizeof(cuda::ChannelMoments)}, "calibration sums"));
  const cuda::MomentsArgs args{inputs, reinterpret_cast<cuda::ChannelMoments*>(partial),
                               moments_.as<cuda::ChannelMoments>(), statistics_.sequences == 0};
  ESPARSE_RETURN_IF_ERROR(device_.launched(device_.backend().statistics->moments(args, device_.stream()),
                                           "channel moments", {inputs.tokens, channels_}));
  statistics_.sequences += 1;
  statistics_.tokens += inputs.tokens;
  return request_.needs.gram ? add_gram(inputs) : Status();
}

Result<GpuSiteStatistics::Transposed> GpuSiteStatistics::transpose(const DeviceRows& x, const float* minus,
                                                                   Element type, DeviceScratch& to) {
  const int64_t tokens = ceil_div(x.tokens, kTokenStep) * kTokenStep;
  ESPARSE_ASSIGN_OR_RETURN(std::byte * data, to.at_least(device_, x.channels * tokens * element_bytes(type),
                                                         "calibration inputs, transposed"));
  const cuda::TransposeArgs args{x, minus, data, type, tokens, tokens};
  ESPARSE_RETURN_IF_ERROR(device_.launched(device_.backend().statistics->transpose(args, device_.stream()), "transpose",
                                           {x.tokens, x.channels}));
  return Transposed{data, type, x.channels, tokens, tokens};
}

// sum [x.rows, w.rows] += x w^T.
Status GpuSiteStatistics::add_product(const Transposed& x, const Transposed& w, DeviceBytes& sum) {
  cuda::GemmArgs args;
  args.x = x.data, args.w = w.data, args.y = sum.data();
  args.tokens = x.rows, args.in = x.tokens, args.out = w.rows;
  args.x_stride = x.stride, args.w_stride = w.stride, args.y_stride = w.rows;
  args.type = x.type, args.y_type = Element::f32, args.add = true;
  return device_.backend().gemm->gemm(args, device_.stream());
}

// Makes room for sums [rows, channels] at the first call.
Status GpuSiteStatistics::zeroed(int64_t rows, std::string_view what, DeviceBytes& sum) {
  if (sum.bytes() > 0) return {};
  const int64_t bytes = rows * channels_ * int64_t{sizeof(float)};
  ESPARSE_ASSIGN_OR_RETURN(sum, device_.allocate(bytes, what));
  return device_.backend().runtime->fill_bytes(sum.data(), 0, bytes, device_.stream());
}

// Only blocks on and above the diagonal; finish() mirrors them.
Status GpuSiteStatistics::add_gram(const DeviceRows& inputs) {
  ESPARSE_RETURN_IF_ERROR(zeroed(channels_, "Gram matrix of the calibration inputs", gram_));
  ESPARSE_ASSIGN_OR_RETURN(const Transposed x, transpose(inputs, nullptr, inputs.type, first_transposed_));
  for (int64_t first = 0; first < channels_; first += kGramRows) {
    cuda::GemmArgs args;
    args.x = args.w = x.data + first * x.stride * element_bytes(x.type);
    args.y = gram_.as<float>() + first * channels_ + first;
    args.tokens = std::min(kGramRows, channels_ - first), args.in = x.tokens, args.out = channels_ - first;
    args.x_stride = args.w_stride = x.stride, args.y_stride = channels_;
    args.type = x.type, args.y_type = Element::f32, args.add = true;
    ESPARSE_RETURN_IF_ERROR(device_.backend().gemm->gemm(args, device_.stream()));
  }
  return {};
}

Status GpuSiteStatistics::add_dense(const DeviceRows& inputs, const DeviceRows& dense_inputs, const float* stream,
                                    const float* dense_stream, int64_t hidden_size) {
  ESPARSE_RETURN_IF_ERROR(begin(inputs));
  ESPARSE_CHECK(dense_inputs.type == inputs.type && dense_inputs.channels == channels_);
  ESPARSE_RETURN_IF_ERROR(zeroed(channels_, "cross moments of the calibration inputs", cross_));
  ESPARSE_ASSIGN_OR_RETURN(const Transposed dense, transpose(dense_inputs, nullptr, inputs.type, first_transposed_));
  ESPARSE_ASSIGN_OR_RETURN(Transposed own, transpose(inputs, nullptr, inputs.type, second_transposed_));
  ESPARSE_RETURN_IF_ERROR(add_product(dense, own, cross_));
  if (!request_.needs.residual) return {};
  residual_rows_ = hidden_size;
  ESPARSE_RETURN_IF_ERROR(zeroed(hidden_size, "residual moments of the calibration inputs", residual_));
  const DeviceRows dense_rows{dense_stream, Element::f32, inputs.tokens, hidden_size, hidden_size};
  ESPARSE_ASSIGN_OR_RETURN(const Transposed lost, transpose(dense_rows, stream, Element::f32, first_transposed_));
  if (own.type != Element::f32) {  // the difference of two streams is f32, and both sides of a product are of one type
    ESPARSE_ASSIGN_OR_RETURN(own, transpose(inputs, nullptr, Element::f32, second_transposed_));
  }
  return add_product(lost, own, residual_);
}

Status GpuSiteStatistics::download_moments() {
  std::vector<cuda::ChannelMoments> moments(static_cast<size_t>(channels_));
  ESPARSE_RETURN_IF_ERROR(device_.download(bytes_of(moments), moments_.data()));
  statistics_.sum_squares.clear(), statistics_.sum.clear(), minimum_.clear(), maximum_.clear();
  for (const cuda::ChannelMoments& channel : moments) {
    if (!std::isfinite(channel.squares))
      return numeric_error("input channel {} is not finite", statistics_.sum_squares.size());
    statistics_.sum_squares.push_back(channel.squares);
    if (request_.needs.sums) statistics_.sum.push_back(channel.sum);
    minimum_.push_back(channel.minimum), maximum_.push_back(channel.maximum);
  }
  return {};
}

Status GpuSiteStatistics::begin_counting() {
  ESPARSE_RETURN_IF_ERROR(download_moments());
  ESPARSE_ASSIGN_OR_RETURN(ChannelHistograms histograms,
                           ChannelRanges(minimum_, maximum_).histograms(request_.entropy_range, request_.entropy_bins));
  histograms_.emplace(std::move(histograms));
  std::vector<float> ranges(histograms_->minimum().begin(), histograms_->minimum().end());
  ranges.insert(ranges.end(), histograms_->maximum().begin(), histograms_->maximum().end());
  ESPARSE_ASSIGN_OR_RETURN(ranges_, device_.upload(bytes_of(ranges), "histogram ranges"));
  const int64_t bytes = static_cast<int64_t>(histograms_->counts().size_bytes());
  ESPARSE_ASSIGN_OR_RETURN(counts_, device_.allocate(bytes, "histograms of the calibration inputs"));
  return device_.backend().runtime->fill_bytes(counts_.data(), 0, bytes, device_.stream());
}

Status GpuSiteStatistics::count(const DeviceRows& inputs) {
  ESPARSE_CHECK(histograms_.has_value() && inputs.channels == channels_);
  const auto* ranges = ranges_.as<float>();
  const cuda::HistogramArgs args{inputs, ranges, ranges + channels_, counts_.as<uint32_t>(),
                                 histograms_->counted_bins()};
  return device_.launched(device_.backend().statistics->histogram(args, device_.stream()), "histogram",
                          {inputs.tokens, channels_});
}

Result<Matrix<float>> GpuSiteStatistics::download(const DeviceBytes& sum, int64_t rows) {
  Matrix<float> matrix(rows, channels_);
  ESPARSE_RETURN_IF_ERROR(device_.download(std::as_writable_bytes(matrix.values()), sum.data()));
  return matrix;
}

Result<InputStatistics> GpuSiteStatistics::finish() {
  if (statistics_.sequences == 0) return std::move(statistics_);
  ESPARSE_RETURN_IF_ERROR(download_moments());
  if (request_.needs.gram) {
    ESPARSE_ASSIGN_OR_RETURN(statistics_.gram, download(gram_, channels_));
    mirror_upper(statistics_.gram.view());
  }
  if (cross_.bytes() > 0) {
    ESPARSE_ASSIGN_OR_RETURN(statistics_.cross, download(cross_, channels_));
  }
  if (residual_.bytes() > 0) {
    ESPARSE_ASSIGN_OR_RETURN(statistics_.residual, download(residual_, residual_rows_));
  }
  if (histograms_) {
    ESPARSE_RETURN_IF_ERROR(device_.download(std::as_writable_bytes(histograms_->counts()), counts_.data()));
    statistics_.entropy = histograms_->entropy();
  }
  ESPARSE_ASSIGN_OR_RETURN(statistics_.sample, download(sample_, sampled_));
  return std::move(statistics_);
}

}  // namespace esparse

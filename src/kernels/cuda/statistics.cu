// Bytes: every kernel reads x once, coalesced along channels. On an H200 that is 4 us for 2048 tokens of 4096 channels
// in 16 bits, so none of them matters beside the products of the Gram matrix.
#include "kernels/cuda/statistics.h"

#include "kernels/cuda/elements.h"
#include "kernels/cuda/families.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

unsigned ceil_blocks(int64_t count, int64_t size) { return static_cast<unsigned>((count + size - 1) / size); }

__device__ __forceinline__ int64_t global_thread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ ChannelMoments no_moments() {
  return {0.0, 0.0, __uint_as_float(0x7f800000u), __uint_as_float(0xff800000u)};
}

// A thread a channel, a row of blocks per kMomentTokens tokens.
template <typename T>
__global__ void moments_kernel(MomentsArgs args) {
  const int64_t channel = global_thread();
  if (channel >= args.x.channels) return;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kMomentTokens;
  const int64_t end = first + kMomentTokens < args.x.tokens ? first + kMomentTokens : args.x.tokens;
  const T* x = static_cast<const T*>(args.x.data) + channel;
  ChannelMoments own = no_moments();
#pragma unroll 8
  for (int64_t token = first; token < end; ++token) {
    const float value = to_float(x[token * args.x.stride]);
    const double wide = value;
    own.squares += wide * wide;
    own.sum += wide;
    own.minimum = value < own.minimum ? value : own.minimum;
    own.maximum = value > own.maximum ? value : own.maximum;
  }
  args.partial[static_cast<int64_t>(blockIdx.y) * args.x.channels + channel] = own;
}

// A thread a channel adds the partial sums in the order of tokens.
__global__ void add_moments_kernel(MomentsArgs args) {
  const int64_t channel = global_thread();
  if (channel >= args.x.channels) return;
  const int64_t parts = (args.x.tokens + kMomentTokens - 1) / kMomentTokens;
  ChannelMoments total = args.first ? no_moments() : args.total[channel];
  for (int64_t part = 0; part < parts; ++part) {
    const ChannelMoments more = args.partial[part * args.x.channels + channel];
    total.squares += more.squares;
    total.sum += more.sum;
    total.minimum = more.minimum < total.minimum ? more.minimum : total.minimum;
    total.maximum = more.maximum > total.maximum ? more.maximum : total.maximum;
  }
  args.total[channel] = total;
}

template <typename T>
LaunchCode launch_moments(const MomentsArgs& args, Stream stream) {
  constexpr int kThreads = 256;
  if (args.x.tokens > 0) {
    const dim3 grid(ceil_blocks(args.x.channels, kThreads), ceil_blocks(args.x.tokens, kMomentTokens));
    if (const LaunchCode code = launch(moments_kernel<T>, grid, dim3(kThreads), 0, stream, args); code != 0)
      return code;
  }
  return launch(add_moments_kernel, dim3(ceil_blocks(args.x.channels, kThreads)), dim3(kThreads), 0, stream, args);
}

LaunchCode moments(const MomentsArgs& args, Stream stream) {
  switch (args.x.type) {
    case Element::bf16:
      return launch_moments<Bf16>(args, stream);
    case Element::f16:
      return launch_moments<F16>(args, stream);
    case Element::f32:
      break;
  }
  return launch_moments<float>(args, stream);
}

constexpr int kHistogramChannels = 32;  // of a block: a lane each
constexpr int kHistogramWarps = 8;
constexpr int kHistogramTokens = 256;        // of a block
constexpr int64_t kSharedCounts = 12 << 10;  // 48 KiB, which every GPU gives without asking

// Whole numbers: the order of the atomic additions does not matter. Where they fit, the counters of a block stand in
// shared memory first.
template <typename T>
__global__ void histogram_kernel(HistogramArgs args) {
  const int lane = static_cast<int>(threadIdx.x) % kHistogramChannels;
  const int warp = static_cast<int>(threadIdx.x) / kHistogramChannels;
  const bool shared = int64_t{kHistogramChannels} * args.bins <= kSharedCounts;
  uint32_t* counters = dynamic_shared<uint32_t>();
  if (shared) {
    for (int i = static_cast<int>(threadIdx.x); i < kHistogramChannels * args.bins; i += static_cast<int>(blockDim.x))
      counters[i] = 0;
    __syncthreads();
  }
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * kHistogramChannels + lane;
  const int64_t begin = static_cast<int64_t>(blockIdx.y) * kHistogramTokens;
  const int64_t end = begin + kHistogramTokens < args.x.tokens ? begin + kHistogramTokens : args.x.tokens;
  if (channel < args.x.channels) {
    const T* x = static_cast<const T*>(args.x.data) + channel;
    const double minimum = args.minimum[channel], extent = args.maximum[channel] - minimum;
    const double scale = extent > 0.0 ? args.bins / extent : 0.0, last_bin = args.bins - 1;
    uint32_t* own = shared ? counters + lane * args.bins : args.counts + channel * args.bins;
    for (int64_t token = begin + warp; token < end; token += kHistogramWarps) {
      double position = (static_cast<double>(to_float(x[token * args.x.stride])) - minimum) * scale;
      position = position > 0.0 ? position : 0.0;  // NaN too: it must not become an index
      position = position < last_bin ? position : last_bin;
      atomicAdd(own + static_cast<int>(position), uint32_t{1});
    }
  }
  if (!shared) return;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kHistogramChannels * args.bins; i += static_cast<int>(blockDim.x)) {
    const int64_t of = static_cast<int64_t>(blockIdx.x) * kHistogramChannels + i / args.bins;
    if (of < args.x.channels && counters[i] != 0) atomicAdd(args.counts + of * args.bins + i % args.bins, counters[i]);
  }
}

template <typename T>
LaunchCode launch_histogram(const HistogramArgs& args, Stream stream) {
  const dim3 grid(ceil_blocks(args.x.channels, kHistogramChannels), ceil_blocks(args.x.tokens, kHistogramTokens));
  const int64_t counters = int64_t{kHistogramChannels} * args.bins;
  const int64_t shared_bytes = counters <= kSharedCounts ? counters * int64_t{sizeof(uint32_t)} : 0;
  return launch(histogram_kernel<T>, grid, dim3(kHistogramChannels * kHistogramWarps), shared_bytes, stream, args);
}

LaunchCode histogram(const HistogramArgs& args, Stream stream) {
  if (args.x.tokens == 0) return 0;
  switch (args.x.type) {
    case Element::bf16:
      return launch_histogram<Bf16>(args, stream);
    case Element::f16:
      return launch_histogram<F16>(args, stream);
    case Element::f32:
      break;
  }
  return launch_histogram<float>(args, stream);
}

constexpr int kTile = 32;
constexpr int kTileRows = 8;  // of a tile at a time

// A tile of tokens x channels through shared memory, so that both sides are read and written along their rows.
template <typename In, typename Out>
__global__ void transpose_kernel(TransposeArgs args) {
  __shared__ float tile[kTile][kTile + 1];
  const int lane = static_cast<int>(threadIdx.x) % kTile, part = static_cast<int>(threadIdx.x) / kTile;
  const int64_t first_token = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t first_channel = static_cast<int64_t>(blockIdx.y) * kTile;
  const In* x = static_cast<const In*>(args.x.data);
  for (int row = part; row < kTile; row += kTileRows) {
    const int64_t token = first_token + row, channel = first_channel + lane;
    float value = 0.0f;
    if (token < args.x.tokens && channel < args.x.channels) {
      const int64_t place = token * args.x.stride + channel;
      value = to_float(x[place]);
      if (args.minus != nullptr) value -= args.minus[place];
    }
    tile[row][lane] = value;
  }
  __syncthreads();
  Out* y = static_cast<Out*>(args.y);
  for (int row = part; row < kTile; row += kTileRows) {
    const int64_t channel = first_channel + row, token = first_token + lane;
    if (channel < args.x.channels && token < args.padded)
      from_float(tile[lane][row], y[channel * args.y_stride + token]);
  }
}

template <typename In, typename Out>
LaunchCode launch_transpose(const TransposeArgs& args, Stream stream) {
  const dim3 grid(ceil_blocks(args.padded, kTile), ceil_blocks(args.x.channels, kTile));
  return launch(transpose_kernel<In, Out>, grid, dim3(kTile * kTileRows), 0, stream, args);
}

LaunchCode transpose(const TransposeArgs& args, Stream stream) {
  if (args.padded == 0 || args.x.channels == 0) return 0;
  const bool same = args.y_type == args.x.type;
  switch (args.x.type) {
    case Element::bf16:
      return same ? launch_transpose<Bf16, Bf16>(args, stream) : launch_transpose<Bf16, float>(args, stream);
    case Element::f16:
      return same ? launch_transpose<F16, F16>(args, stream) : launch_transpose<F16, float>(args, stream);
    case Element::f32:
      break;
  }
  return launch_transpose<float, float>(args, stream);
}

template <typename T>
__global__ void take_rows_kernel(TakeRowsArgs args) {
  const int64_t channel = global_thread();
  if (channel >= args.x.channels) return;
  const int64_t row = args.first + static_cast<int64_t>(blockIdx.y) * args.step;
  args.y[static_cast<int64_t>(blockIdx.y) * args.x.channels + channel] =
      to_float(static_cast<const T*>(args.x.data)[row * args.x.stride + channel]);
}

LaunchCode take_rows(const TakeRowsArgs& args, Stream stream) {
  if (args.count == 0) return 0;
  constexpr int kThreads = 256;
  const dim3 grid(ceil_blocks(args.x.channels, kThreads), static_cast<unsigned>(args.count));
  switch (args.x.type) {
    case Element::bf16:
      return launch(take_rows_kernel<Bf16>, grid, dim3(kThreads), 0, stream, args);
    case Element::f16:
      return launch(take_rows_kernel<F16>, grid, dim3(kThreads), 0, stream, args);
    case Element::f32:
      break;
  }
  return launch(take_rows_kernel<float>, grid, dim3(kThreads), 0, stream, args);
}

}  // namespace

const StatisticsKernels& statistics_kernels() {
  static const StatisticsKernels kernels = {moments, histogram, transpose, take_rows};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND

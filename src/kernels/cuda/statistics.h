// Kernels for the statistics of calibration inputs x [tokens, channels]. All are deterministic: what is added in
// floating point is added in an order that the shape alone decides.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// Activations on the device: row t begins at element t * stride.
struct DeviceRows {
  const void* data = nullptr;
  Element type = Element::bf16;
  int64_t tokens = 0, channels = 0, stride = 0;
};

// Of one channel over tokens.
struct ChannelMoments {
  double squares, sum;     // of x^2 and x, in double
  float minimum, maximum;  // NaN is passed over: `squares` tells of it
};

// Tokens that one thread adds up.
inline constexpr int64_t kMomentTokens = 64;

struct MomentsArgs {
  DeviceRows x;
  ChannelMoments* partial;  // scratch [ceil(tokens / kMomentTokens), channels]
  ChannelMoments* total;    // [channels]
  bool first;               // total = instead of total +=
};

// counts[c][bin] += 1 with bin = floor((x - minimum) * bins / (maximum - minimum)) clamped to [0, bins - 1], in double:
// what calibrate/entropy.h counts.
struct HistogramArgs {
  DeviceRows x;
  const float* minimum;  // [channels]
  const float* maximum;
  uint32_t* counts;  // [channels, bins]
  int bins;
};

// y[c][t] = x[t][c] (- minus[t][c]); zero for tokens <= t < padded. y is f32, or of x's type and then `minus` is null.
struct TransposeArgs {
  DeviceRows x;
  const float* minus;  // laid out as x, which is f32 then; null: nothing is subtracted
  void* y;
  Element y_type;
  int64_t padded, y_stride;  // y_stride >= padded >= tokens
};

// y[i][c] = x[first + i * step][c], as f32.
struct TakeRowsArgs {
  DeviceRows x;
  int64_t first, step, count;
  float* y;  // [count, channels]
};

struct StatisticsKernels {
  LaunchCode (*moments)(const MomentsArgs& args, Stream stream);
  LaunchCode (*histogram)(const HistogramArgs& args, Stream stream);
  LaunchCode (*transpose)(const TransposeArgs& args, Stream stream);
  LaunchCode (*take_rows)(const TakeRowsArgs& args, Stream stream);
};

}  // namespace esparse::cuda

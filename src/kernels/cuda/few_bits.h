// y = x W^T for up to 16 tokens and rows of bits (any N:M, bitmaps): values and bitmask as they are at rest, expanded
// in registers and multiplied in f32. Needs no tensor cores.
#pragma once

#include "kernels/cuda/launch_types.h"
#include "kernels/cuda/linear_parts.h"

namespace esparse::cuda {

inline constexpr int kBitTokens = 16;
// So many bytes behind the last value must be readable.
inline constexpr int64_t kBitValuesPadding = 16;

struct FewBitsArgs {
  BitRows weight;  // values at a multiple of 16 bytes, row offsets counted from there
  const void* x;
  int64_t x_stride;
  int tokens;
  const float* bias;  // or null
  void* y;
  int64_t y_stride;
  Element type, y_type;  // of x and W; of y
  bool add;
  bool early;  // compute capability 9.0: weights are fetched while the kernel before ends
};

struct FewBitsKernels {
  LaunchCode (*few)(const FewBitsArgs& args, Stream stream);
};

}  // namespace esparse::cuda

// Kernels that read and write each activation once.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// y[t][k] = gain[o] * x[t][o] / sqrt(mean(x[t]^2) + eps) with o = order[k]; mean in f32.
struct RmsNormArgs {
  const float* x;        // [tokens, width]
  const float* gain;     // [width], or null: 1
  const int32_t* order;  // [width], or null: identity
  void* y;               // [tokens, width] of `type`
  Element type;
  int tokens, width;
  float eps;
};

struct ElementwiseKernels {
  LaunchCode (*rms_norm)(const RmsNormArgs& args, Stream stream);
};

}  // namespace esparse::cuda

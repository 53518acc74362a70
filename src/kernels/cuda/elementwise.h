// Kernels that read and write each activation once: norms and what stands between the linears of an MLP.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// y[t][k] = gain[o] * x[t][o] / sqrt(mean(x[t]^2) + eps) with o = order[k]; mean in f32.
struct RmsNormArgs {
  const float* x;        // [tokens, width]
  const float* gain;     // [width], or null: 1
  const int32_t* order;  // [width], or null: identity
  void* y;               // [tokens, width] of `type`
  Element type;          // bf16 or f16
  int tokens, width;
  float eps;
};

// y[t][k] = (gain * (x[t] - mean) / sqrt(variance + eps) + bias)[order[k]]; mean and variance in f32. Without an order
// y may be x.
struct LayerNormArgs {
  const float* x;            // [tokens, width]
  const float *gain, *bias;  // [width], or null: 1 and 0
  const int32_t* order;      // [width], or null: identity
  void* y;                   // [tokens, width] of `type`
  Element type;
  int tokens, width;
  float eps;
};

// y[t][k] = x[t][order[k]], rounded.
struct GatherArgs {
  const float* x;        // [tokens, width]
  const int32_t* order;  // [width], or null: identity
  void* y;               // [tokens, width] of `type`
  Element type;          // bf16 or f16
  int tokens, width;
};

enum class ActivationKind : uint8_t { gated_silu, relu, gelu };

// gated_silu: x[t] is gate [width], then up [width], and y = silu(gate) * up. The others: y = relu(x) or
// 0.5 x (1 + erf(x / sqrt 2)), x[t] being [width].
struct ActivationArgs {
  const void* x;  // [tokens, width or 2 * width] of `type`
  void* y;        // [tokens, width] of `type`
  Element type;   // bf16 or f16
  ActivationKind kind;
  int tokens, width;
};

struct ElementwiseKernels {
  LaunchCode (*rms_norm)(const RmsNormArgs& args, Stream stream);
  LaunchCode (*layer_norm)(const LayerNormArgs& args, Stream stream);
  LaunchCode (*gather)(const GatherArgs& args, Stream stream);
  LaunchCode (*activation)(const ActivationArgs& args, Stream stream);
};

}  // namespace esparse::cuda

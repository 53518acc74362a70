// From the products of q, k and v to what attention reads: norms of heads, rotation, rounding, keys and values put
// where they stay.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// Every head of q and k is normalised where there is a gain (x / sqrt(mean(x^2) + eps) * gain), then rotated where
// there are angles: pairs (i, i + head_dim / 2) by the angles of the token's position.
struct HeadsArgs {
  const float* qkv;              // [tokens, (heads + 2 * kv_heads) * head_dim]: all of q, all of k, all of v
  const float *q_gain, *k_gain;  // [head_dim], or null
  const float *cosine, *sine;    // [positions, head_dim / 2], or null
  const int32_t* positions;      // [tokens], each below `capacity`
  void* q;                       // [tokens, heads * head_dim] of `type`
  void *keys, *values;           // [kv_heads, capacity, head_dim] of `type`: rows of these positions are written
  Element type;
  int64_t capacity;
  int tokens, heads, kv_heads, head_dim;
  float eps;
};

struct HeadKernels {
  LaunchCode (*prepare)(const HeadsArgs& args, Stream stream);
};

}  // namespace esparse::cuda

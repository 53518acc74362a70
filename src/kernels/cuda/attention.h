// Causal attention over a cache of keys and values. Three ways: `decode` for one token (the keys are cut into splits,
// so that a long context keeps the whole device busy), `prefill` for many (tiles on the tensor cores), `general` for
// heads whose size neither can take and for f32. No way keeps scores in memory, and all add in a fixed order.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// Row r, at position p = positions[0] + r, sees the keys [max(0, p - window + 1), p]; window 0: all up to p. Query head
// h reads KV head h / (heads / kv_heads). Sums in f32; probabilities are rounded to `type` before they meet the values.
struct AttentionArgs {
  const void* q;              // [rows, heads * head_dim] of `type`
  const void *keys, *values;  // [kv_heads, capacity, head_dim] of `type`; all that is seen has been written
  const int32_t* positions;   // on the device: of the first row
  void* out;                  // [rows, heads * head_dim] of `out_type`, bf16 or f16
  Element type, out_type;
  int64_t capacity;
  int rows, heads, kv_heads, head_dim, window;
  float scale;
  // Of decode alone: `splits` times `split_keys` covers every position that this launch may meet.
  float* partial;  // [splits, heads, head_dim + 2]
  int splits, split_keys;
};

struct AttentionKernels {
  LaunchCode (*decode)(const AttentionArgs& args, Stream stream);  // rows = 1
  LaunchCode (*prefill)(const AttentionArgs& args, Stream stream);
  LaunchCode (*general)(const AttentionArgs& args, Stream stream);
};

// Whether decode and prefill can take heads of this size and type.
constexpr bool attention_has_tiles(int64_t head_dim, Element type) {
  return type != Element::f32 && (head_dim == 64 || head_dim == 80 || head_dim == 96 || head_dim == 128);
}

}  // namespace esparse::cuda

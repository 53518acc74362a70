// Causal attention of new tokens over all keys and values so far.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace esparse {

struct AttentionShape {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // divides num_heads; query head h reads KV head h / (num_heads / num_kv_heads)
  int64_t head_dim = 0;
  float scale = 1.0f;
  int64_t window = 0;  // a token sees itself and the window - 1 tokens before it; 0: all
};

// q, out [tokens, num_heads * head_dim]; keys, values [past + tokens, num_kv_heads * head_dim], the new ones last.
// Works through blocks of queries, so no [tokens, tokens] matrix ever exists. Same bits for every thread count.
void causal_attention(const AttentionShape& shape, MatrixView<const float> q, MatrixView<const float> keys,
                      MatrixView<const float> values, MatrixView<float> out);

}  // namespace esparse

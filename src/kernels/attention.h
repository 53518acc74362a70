// Causal attention of new tokens over all keys and values so far.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/matrix.h"

namespace esparse {

struct AttentionShape {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // divides num_heads; query head h reads KV head h / (num_heads / num_kv_heads)
  int64_t head_dim = 0;
  float scale = 1.0f;
  int64_t window = 0;  // a token sees itself and the window - 1 tokens before it; 0: all
};

// Keys or values as f32, f16 or bf16, unaligned. Head by head: the tokens of one KV head stand one after another, so
// that reading them is one stream (with all heads of a token side by side it ran at a third of the memory's bandwidth).
struct KvView {
  DType dtype = DType::f32;
  const std::byte* data = nullptr;
  int64_t tokens = 0;
  int64_t head_dim = 0;
  int64_t head_tokens = 0;  // from one head to the next, >= tokens

  int64_t row_bytes() const { return head_dim * dtype_bytes(dtype); }
  const std::byte* at(int64_t kv_head, int64_t token) const {
    return data + (kv_head * head_tokens + token) * row_bytes();
  }
};

// Rounds rows [tokens, heads * head_dim] to dtype and writes them from `token` on into memory laid out as in `place`,
// whose data is not used. f16 overflows to infinity.
void store_kv(MatrixView<const float> rows, const KvView& place, int64_t token, std::byte* data);

// q, out [tokens, num_heads * head_dim]; keys, values [past + tokens, num_kv_heads * head_dim], the new ones last and
// of the same type. Arithmetic in f32. Up to kFewQueries tokens read the keys of a KV head once for all its query
// heads, cut into ranges of kKeysPerPiece, so that long contexts occupy more threads than there are KV heads. More
// tokens go through blocks of queries times blocks of keys with a running softmax; no scores beyond such a tile ever
// exist. Same bits for every thread count.
void causal_attention(const AttentionShape& shape, MatrixView<const float> q, KvView keys, KvView values,
                      MatrixView<float> out);

inline constexpr int64_t kFewQueries = 4;      // beyond, packing for sgemm is repaid
inline constexpr int64_t kKeysPerPiece = 256;  // 16-bit, head_dim 64: 64 KiB of keys and values, four microseconds

}  // namespace esparse

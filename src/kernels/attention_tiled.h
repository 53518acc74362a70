// Attention of many tokens: tiles of queries x keys with a running softmax (flash attention, arXiv 2205.14135).
#pragma once

#include <algorithm>

#include "kernels/attention.h"

namespace esparse {

inline int64_t first_visible_key(const AttentionShape& shape, int64_t position) {
  return shape.window == 0 ? 0 : std::max<int64_t>(0, position - shape.window + 1);
}

// causal_attention() for any number of tokens. Keys and values of a tile are widened to f32 once for all query heads of
// their KV head and multiplied by sgemm. Scratch per thread: rows of a tile x (kKeyTile + 2 head_dim) + 2 kKeyTile x
// head_dim floats, 320 KiB for head_dim 64.
void tiled_attention(const AttentionShape& shape, MatrixView<const float> q, KvView keys, KvView values,
                     MatrixView<float> out);

}  // namespace esparse

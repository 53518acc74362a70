// Keys and values of the tokens so far, per layer.
#pragma once

#include <vector>

#include "base/dtype.h"
#include "base/matrix.h"
#include "kernels/attention.h"

namespace esparse {

// Keys or values of one layer as f32, f16 or bf16.
class KvRows {
 public:
  KvRows() = default;
  KvRows(DType dtype, int64_t capacity, int64_t kv_heads, int64_t head_dim)
      : view_{dtype, nullptr, capacity, head_dim, capacity},
        bytes_(static_cast<size_t>(kv_heads * capacity * view_.row_bytes())) {}

  KvView first(int64_t tokens) const {
    ESPARSE_CHECK(tokens <= view_.tokens);
    return {view_.dtype, bytes_.data(), tokens, view_.head_dim, view_.head_tokens};
  }
  // Rounds rows [tokens, kv_heads * head_dim] to this type and writes them from `token` on.
  void store(int64_t token, MatrixView<const float> rows) {
    ESPARSE_CHECK(token + rows.rows <= view_.tokens &&
                  rows.cols * view_.tokens * dtype_bytes(view_.dtype) == static_cast<int64_t>(bytes_.size()));
    store_kv(rows, view_, token, bytes_.data());
  }

 private:
  KvView view_;  // type and layout; the data pointer is not used
  std::vector<std::byte> bytes_;
};

struct LayerCache {
  LayerCache() = default;
  LayerCache(DType dtype, int64_t capacity, int64_t kv_heads, int64_t head_dim)
      : keys(dtype, capacity, kv_heads, head_dim), values(dtype, capacity, kv_heads, head_dim) {}

  KvRows keys;  // after rotation
  KvRows values;
};

// Not copyable by accident: it can be large.
class KvCache {
 public:
  KvCache(int64_t num_layers, int64_t capacity_tokens, int64_t kv_heads, int64_t head_dim, DType dtype)
      : capacity_(capacity_tokens) {
    for (int64_t layer = 0; layer < num_layers; ++layer)
      layers_.emplace_back(dtype, capacity_tokens, kv_heads, head_dim);
  }
  KvCache(KvCache&&) = default;
  KvCache(const KvCache&) = delete;

  int64_t capacity() const { return capacity_; }
  int64_t length() const { return length_; }  // tokens that every layer holds
  void set_length(int64_t length) { length_ = length; }
  LayerCache& layer(int64_t index) { return layers_[index]; }

 private:
  std::vector<LayerCache> layers_;
  int64_t capacity_;
  int64_t length_ = 0;
};

}  // namespace esparse

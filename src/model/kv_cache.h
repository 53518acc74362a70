// Keys and values of the tokens so far, per layer.
#pragma once

#include <vector>

#include "base/dtype.h"
#include "base/matrix.h"
#include "kernels/attention.h"
#include "kernels/narrow.h"

namespace esparse {

// Keys or values of one layer, [capacity, num_kv_heads * head_dim] as f32, f16 or bf16.
class KvRows {
 public:
  KvRows() = default;
  KvRows(DType dtype, int64_t capacity, int64_t features)
      : view_{dtype, nullptr, capacity, features},
        bytes_(static_cast<size_t>(capacity * features * dtype_bytes(dtype))) {}

  KvView first(int64_t tokens) const {
    ESPARSE_CHECK(tokens <= view_.tokens);
    return {view_.dtype, bytes_.data(), tokens, view_.features};
  }
  // Rounds rows [tokens, features] to this type and writes them from token `first` on.
  void store(int64_t first, MatrixView<const float> rows) {
    ESPARSE_CHECK(first + rows.rows <= view_.tokens && rows.cols == view_.features);
    narrow_rows(rows, view_.dtype, bytes_.data() + first * view_.row_bytes());
  }

 private:
  KvView view_;  // type and sizes; the data pointer is not used
  std::vector<std::byte> bytes_;
};

struct LayerCache {
  LayerCache() = default;
  LayerCache(DType dtype, int64_t capacity, int64_t features)
      : keys(dtype, capacity, features), values(dtype, capacity, features) {}

  KvRows keys;  // after rotation
  KvRows values;
};

// Not copyable by accident: it can be large.
class KvCache {
 public:
  KvCache(int64_t num_layers, int64_t capacity_tokens, int64_t kv_features, DType dtype) : capacity_(capacity_tokens) {
    for (int64_t layer = 0; layer < num_layers; ++layer) layers_.emplace_back(dtype, capacity_tokens, kv_features);
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

// Keys and values of the tokens so far, per layer.
#pragma once

#include <vector>

#include "base/matrix.h"

namespace esparse {

struct LayerCache {
  Matrix<float> keys;    // [capacity, num_kv_heads * head_dim], after rotation
  Matrix<float> values;  // [capacity, num_kv_heads * head_dim]
};

// Not copyable by accident: it can be large.
class KvCache {
 public:
  KvCache(int64_t num_layers, int64_t capacity_tokens, int64_t kv_features) : capacity_(capacity_tokens) {
    layers_.resize(num_layers);
    for (auto& layer : layers_)
      layer = {Matrix<float>(capacity_tokens, kv_features), Matrix<float>(capacity_tokens, kv_features)};
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

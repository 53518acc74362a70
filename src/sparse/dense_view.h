// A dense weight matrix as bytes somebody else owns.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace esparse {

// Row-major [out_features, in_features] of dtype (f32, f16, bf16); no alignment needed.
struct DenseView {
  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  const std::byte* data = nullptr;

  int64_t row_bytes() const { return in_features * dtype_bytes(dtype); }
  int64_t bytes() const { return out_features * row_bytes(); }
};

}  // namespace esparse

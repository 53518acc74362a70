// What a linear multiplies with: a dense or a packed weight, as bytes somebody else owns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/dtype.h"
#include "sparse/bitmap_matrix.h"
#include "sparse/nm_matrix.h"
#include "sparse/nm_tiles.h"

namespace esparse {

// Row-major [out_features, in_features] of dtype (f32, f16, bf16); no alignment needed.
struct DenseView {
  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  const std::byte* data = nullptr;

  int64_t row_bytes() const { return in_features * dtype_bytes(dtype); }
};

using WeightView = std::variant<DenseView, NmView, NmTilesView, BitmapView>;

inline int64_t weight_out_features(const WeightView& weight) {
  return std::visit([](const auto& view) { return view.out_features; }, weight);
}
inline int64_t weight_in_features(const WeightView& weight) {
  return std::visit([](const auto& view) { return view.in_features; }, weight);
}

}  // namespace esparse

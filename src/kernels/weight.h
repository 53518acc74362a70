// What a linear multiplies with: a dense or a packed weight, as bytes somebody else owns.
#pragma once

#include <cstdint>
#include <variant>

#include "sparse/bitmap_matrix.h"
#include "sparse/dense_view.h"
#include "sparse/nm_matrix.h"
#include "sparse/nm_tiles.h"
#include "sparse/spense_matrix.h"

namespace esparse {

using WeightView = std::variant<DenseView, NmView, NmTilesView, BitmapView, SpenseView>;

inline int64_t weight_out_features(const WeightView& weight) {
  return std::visit([](const auto& view) { return view.out_features; }, weight);
}
inline int64_t weight_in_features(const WeightView& weight) {
  return std::visit([](const auto& view) { return view.in_features; }, weight);
}

}  // namespace esparse

// A Spense weight as two products: which inputs and outputs each region has. Nothing is copied: regions see columns of
// x and of y where they stand.
#pragma once

#include <span>

#include "base/matrix.h"
#include "kernels/dense_gemm.h"
#include "kernels/weight.h"

namespace esparse {

// Calls sparse(region, x, bias, y) for the N:M region (NmView or NmTilesView), then dense(region, x, bias, y, into). By
// rows each writes columns of y of its own; by columns the dense region adds to what the N:M region has written.
template <typename Sparse, typename Dense>
void for_each_region(const SpenseView& weight, MatrixView<const float> x, std::span<const float> bias,
                     MatrixView<float> y, Sparse&& sparse, Dense&& dense) {
  const DenseView& rest = weight.dense;
  if (weight.split == SpenseSplit::in) {
    const int64_t columns = weight.in_features - rest.in_features;
    std::visit([&](const auto& region) { sparse(region, x.cols_from(0, columns), bias, y); }, weight.sparse);
    return dense(rest, x.cols_from(columns, rest.in_features), std::span<const float>(), y, Into::add);
  }
  const int64_t rows = weight.out_features - rest.out_features;
  const auto bias_of = [&](int64_t first, int64_t count) {
    return bias.empty() ? bias : bias.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  };
  std::visit([&](const auto& region) { sparse(region, x, bias_of(0, rows), y.cols_from(0, rows)); }, weight.sparse);
  dense(rest, x, bias_of(rows, rest.out_features), y.cols_from(rows, rest.out_features), Into::replace);
}

}  // namespace esparse

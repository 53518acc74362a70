// The one channel order of the linears that read one input.
#pragma once

#include <vector>

#include "base/matrix.h"
#include "prune/layer_problem.h"

namespace esparse {

// saliency: per pruned linear, [out_features, in_features]. Each is divided by its mean, so that none drowns the
// others. Where each KV head has an order of its own, the shares are means over the heads.
ShuffleResult find_layer_order(const std::vector<Matrix<float>>& saliency, const OrderFreedom& freedom,
                               NmPattern pattern, const ShuffleOptions& options);

// Column k of the result is column order[k]; an empty order copies.
template <typename T>
Matrix<T> permute_columns(MatrixView<const T> matrix, const ChannelOrder& order) {
  Matrix<T> result(matrix.rows, matrix.cols);
  for (int64_t i = 0; i < matrix.rows; ++i)
    for (int64_t k = 0; k < matrix.cols; ++k) result(i, k) = matrix(i, order.empty() ? k : order[k]);
  return result;
}

// The other way: column order[k] of the result is column k.
template <typename T>
Matrix<T> restore_columns(MatrixView<const T> matrix, const ChannelOrder& order) {
  Matrix<T> result(matrix.rows, matrix.cols);
  for (int64_t i = 0; i < matrix.rows; ++i)
    for (int64_t k = 0; k < matrix.cols; ++k) result(i, order.empty() ? k : order[k]) = matrix(i, k);
  return result;
}

}  // namespace esparse

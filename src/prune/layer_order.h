// The one channel order of the linears that read one input.
#pragma once

#include <span>
#include <vector>

#include "base/matrix.h"
#include "prune/layer_problem.h"

namespace esparse {

// saliency: per pruned linear, [rows that are pruned, in_features]. Each is divided by its mean, so that none drowns
// the others. Where each KV head has an order of its own, the shares are means over the heads. `last` (ascending):
// channels that come last, in this order, and whose saliency counts nowhere; with heads whole heads at the end, which
// stay there.
ShuffleResult find_layer_order(const std::vector<Matrix<float>>& saliency, const OrderFreedom& freedom,
                               std::span<const int32_t> last, NmPattern pattern, const ShuffleOptions& options,
                               PruneAccelerator* accelerator = nullptr);

// All channels but `last` as they stand, then those; empty where that is the identity.
ChannelOrder plain_order(std::span<const int32_t> last, int64_t channels);

// Column k of the result is column order[k]; the order may name only some of them, an empty one copies.
template <typename T>
Matrix<T> permute_columns(MatrixView<const T> matrix, const ChannelOrder& order) {
  const auto columns = order.empty() ? matrix.cols : static_cast<int64_t>(order.size());
  Matrix<T> result(matrix.rows, columns);
  for (int64_t i = 0; i < matrix.rows; ++i)
    for (int64_t k = 0; k < columns; ++k) result(i, k) = matrix(i, order.empty() ? k : order[k]);
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

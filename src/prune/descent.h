// Group descent: exact block coordinate descent on the pruned layer's output error, mask and values together
// (docs/methods/group-descent.md).
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace esparse {

struct DescentOptions {
  int max_sweeps = 20;      // over all columns
  double tolerance = 1e-4;  // a panel of rows stops when a sweep lowers its error by less than this share
};

// Lowers, for every row by itself, (w - t) H (w - t)^T over the weights w and over the choice which of them are kept.
// weight, mask and target [out, in]; weight is zero where mask is 0. hessian H [in, in], symmetric positive definite
// (damped gram matrix). Columns [g * group, (g + 1) * group) are one group, up to column `border`, where a new count
// begins: the mask keeps as many weights of a group as before, so any N:M mask stays one, and columns behind the border
// that were all kept stay so and take the values that are best beside the others. Groups above 8 wide are searched in
// windows of 8 columns, laid differently in every other sweep. No row ends with a higher error than it began. 2 * out *
// in^2 operations per sweep; the same bytes for any thread count.
void group_descent(MatrixView<const float> target, MatrixView<const float> hessian, int group, int64_t border,
                   const DescentOptions& options, MatrixView<float> weight, MatrixView<uint8_t> mask);
// Without a border.
inline void group_descent(MatrixView<const float> target, MatrixView<const float> hessian, int group,
                          const DescentOptions& options, MatrixView<float> weight, MatrixView<uint8_t> mask) {
  group_descent(target, hessian, group, weight.cols, options, weight, mask);
}

}  // namespace esparse

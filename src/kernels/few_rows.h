// Some rows of a weight of any form times few tokens: what linear_group.h and linear.h cut a weight into.
#pragma once

#include <cstdint>
#include <span>

#include "base/matrix.h"
#include "kernels/few.h"
#include "kernels/weight.h"

namespace esparse {

// Where a slice may begin: tiles stand in blocks of rows.
inline constexpr int64_t kSliceAlignment = NmTilesView::kRows;
// Rows of a slice: those of a piece of few_linear(), which reads several streams far apart, fewer in a small weight, so
// that many threads have work.
constexpr int64_t slice_size(int64_t out_features) {
  return out_features >= 1024 ? 8 * kSliceAlignment : kSliceAlignment;
}

// y = x W^T + b for rows [first, first + count) of the weight, first a multiple of kSliceAlignment; y [tokens, count]
// and bias [count] (or empty) are those of these rows. The same bits whatever the slices. The columns of a Spense
// weight add their second region to what the first has written: y is read once more, from the innermost cache.
void few_rows(const WeightView& weight, int64_t first, int64_t count, MatrixView<const float> x,
              std::span<const float> bias, MatrixView<float> y);

}  // namespace esparse

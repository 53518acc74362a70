// The part of a linear that is pruned: some of its rows, and of these the leading columns, in the order of channels
// that the update works in. For Spense the rest stays dense; for every other target the part is all of the matrix.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/matrix.h"
#include "prune/target.h"

namespace esparse {

// The indices below `size` that are not in `taken` (ascending), ascending.
std::vector<int32_t> all_but(std::span<const int32_t> taken, int64_t size);

struct PrunedPart {
  std::vector<int32_t> rows;  // ascending
  int64_t columns = 0;

  // Every row but `dense_rows` (ascending).
  PrunedPart(int64_t all_rows, std::span<const int32_t> dense_rows, int64_t pruned_columns)
      : rows(all_but(dense_rows, all_rows)), columns(pruned_columns) {}
};

// The rows of the part with all their columns, and back into a matrix of all rows.
Matrix<float> take_rows(MatrixView<const float> matrix, std::span<const int32_t> rows);
void put_rows(const Matrix<float>& part, std::span<const int32_t> rows, MatrixView<float> matrix);

// mask(i, j) = 1 where kept: by `target` in the first `columns` columns, everywhere behind them. `target` is that of a
// pruned part, so not spense; an unstructured one needs all columns.
void make_leading_mask(MatrixView<const float> saliency, const PruneTarget& target, int64_t columns,
                       MatrixView<uint8_t> mask);

// The same for a whole matrix: by `target` in the part, everywhere else 1.
void make_part_mask(MatrixView<const float> saliency, const PruneTarget& target, const PrunedPart& part,
                    MatrixView<uint8_t> mask);

// Share of the saliency [out, in] that the target's own mask keeps; the dense rest is kept. 1 where all of it is zero.
double retained_share(MatrixView<const float> saliency, const PruneTarget& target, const PrunedPart& part);

}  // namespace esparse

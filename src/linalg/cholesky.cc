#include "linalg/cholesky.h"

#include <vector>

#include "base/parallel.h"
#include "linalg/blas.h"
#include "linalg/tiles.h"

namespace esparse {
namespace {

// Columns eliminated per step: OpenBLAS multiplies doubles best at a depth of 256.
constexpr int64_t kStep = 256;

struct Range {
  int64_t begin, count;
  int64_t end() const { return begin + count; }
};
Range step_range(int64_t begin, int64_t size) { return {begin, std::min(kStep, size - begin)}; }

MatrixView<double> part(MatrixView<double> m, Range rows, Range cols) {
  return m.rows_from(rows.begin, rows.count).cols_from(cols.begin, cols.count);
}

// Pieces of the rows or columns [begin, end).
struct Pieces {
  int64_t begin, end, side;
  int64_t count() const { return begin < end ? ceil_div(end - begin, side) : 0; }
  Range operator[](int64_t index) const {
    const int64_t first = begin + index * side;
    return {first, std::min(side, end - first)};
  }
};

int64_t rest_side(int64_t size) { return size >= 8 * 512 ? 512 : kStep; }

// Subtracts the step's columns from the rest of the matrix. The first tile also factors the next diagonal block, while
// other threads still update theirs. Returns the row of a bad pivot, or -1.
int64_t update_rest(MatrixView<double> a, Range step) {
  const Pieces rest{step.end(), a.rows, rest_side(a.rows)};
  const int64_t pieces = rest.count();
  int64_t bad = -1;  // written by the first tile alone
  parallel_for(pieces * pieces, [&](int64_t tile, int) {
    const int64_t tile_row = tile / pieces, tile_col = tile % pieces;
    if (tile_col > tile_row) return;
    const Range rows = rest[tile_row], cols = rest[tile_col];
    if (tile_row != tile_col) {
      blas_gemm(Op::none, Op::transpose, -1.0, part(a, rows, step), part(a, cols, step), 1.0, part(a, rows, cols));
      return;
    }
    blas_subtract_square_lower(part(a, rows, step), part(a, rows, rows));
    if (tile_row > 0) return;
    const Range next = step_range(step.end(), a.rows);
    bad = blas_cholesky_lower(part(a, next, next));
    if (bad >= 0) bad += next.begin;
  });
  return bad;
}

Status bad_pivot(int64_t row, int64_t size) {
  return numeric_error("Cholesky factor: pivot {} of {} is not positive", row, size);
}

}  // namespace

Status cholesky_lower(MatrixView<double> a) {
  ESPARSE_CHECK(a.rows == a.cols);
  const Range first = step_range(0, a.rows);
  if (const int64_t bad = blas_cholesky_lower(part(a, first, first)); bad >= 0) return bad_pivot(bad, a.rows);
  for (Range step = first; step.end() < a.rows; step = step_range(step.end(), a.rows)) {
    const Pieces below{step.end(), a.rows, 128};
    parallel_for(below.count(), [&](int64_t index, int) {
      blas_solve_right(Op::transpose, 1.0, part(a, step, step), part(a, below[index], step));
    });
    if (const int64_t bad = update_rest(a, step); bad >= 0) return bad_pivot(bad, a.rows);
  }
  return {};
}

// Each step knows the inverse of the leading block and brings in the next rows and columns:
//   [L00  .  ]^-1   columns of the step times -L11^-1 are added, times the step's old rows, to all rows below;
//   [L10 L11 ]      then the step's rows are multiplied by L11^-1 and L11 is inverted.
void invert_lower(MatrixView<double> l) {
  ESPARSE_CHECK(l.rows == l.cols);
  const int64_t size = l.rows;
  Matrix<double> diagonal(std::min(kStep, size), std::min(kStep, size));
  for (Range step = step_range(0, size); step.begin < size; step = step_range(step.end(), size)) {
    const auto block = part(l, step, step);
    const Pieces below{step.end(), size, 128};
    parallel_for(below.count(),
                 [&](int64_t index, int) { blas_solve_right(Op::none, -1.0, block, part(l, below[index], step)); });
    const Pieces rows{step.end(), size, rest_side(size)}, cols{0, step.begin, rest_side(size)};
    parallel_for(rows.count() * cols.count(), [&](int64_t tile, int) {
      const Range r = rows[tile / cols.count()], c = cols[tile % cols.count()];
      blas_gemm(Op::none, Op::none, 1.0, part(l, r, step), part(l, step, c), 1.0, part(l, r, c));
    });
    const Pieces left{0, step.begin, 128};
    for (int64_t i = 0; i < step.count; ++i)
      for (int64_t j = 0; j < step.count; ++j) diagonal(i, j) = block(i, j);
    parallel_for(left.count() + 1, [&](int64_t index, int) {
      if (index == 0) return blas_invert_lower(block);
      const auto old = diagonal.view().rows_from(0, step.count).cols_from(0, step.count);
      blas_solve_left(old, part(l, step, left[index - 1]));
    });
  }
}

}  // namespace esparse

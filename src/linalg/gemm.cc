#include "linalg/gemm.h"

#include "base/parallel.h"
#include "linalg/tiles.h"

namespace esparse {
namespace {

// The rows of op(m) from `rows`, still to be read through op.
template <typename T>
MatrixView<const T> op_rows(Op op, MatrixView<const T> m, Span1d rows) {
  return op == Op::none ? m.rows_from(rows.begin, rows.count) : m.cols_from(rows.begin, rows.count);
}
template <typename T>
MatrixView<const T> op_cols(Op op, MatrixView<const T> m, Span1d cols) {
  return op == Op::none ? m.cols_from(cols.begin, cols.count) : m.rows_from(cols.begin, cols.count);
}

template <typename T>
void tiled_gemm(Op op_a, Op op_b, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c) {
  const int64_t depth = op_a == Op::none ? a.cols : a.rows;
  ESPARSE_CHECK((op_a == Op::none ? a.rows : a.cols) == c.rows && (op_b == Op::none ? b.cols : b.rows) == c.cols &&
                (op_b == Op::none ? b.rows : b.cols) == depth);
  const int64_t side = tile_side(c.rows, c.cols);
  const int64_t tile_cols = ceil_div(c.cols, side);
  parallel_for_sized(ceil_div(c.rows, side) * tile_cols, c.rows * c.cols * depth, [&](int64_t tile, int) {
    const Span1d rows = piece(tile / tile_cols, side, c.rows), cols = piece(tile % tile_cols, side, c.cols);
    blas_gemm(op_a, op_b, alpha, op_rows(op_a, a, rows), op_cols(op_b, b, cols), beta,
              c.rows_from(rows.begin, rows.count).cols_from(cols.begin, cols.count));
  });
}

}  // namespace

void gemm(Op op_a, Op op_b, float alpha, MatrixView<const float> a, MatrixView<const float> b, float beta,
          MatrixView<float> c) {
  tiled_gemm<float>(op_a, op_b, alpha, a, b, beta, c);
}

void gemm(Op op_a, Op op_b, double alpha, MatrixView<const double> a, MatrixView<const double> b, double beta,
          MatrixView<double> c) {
  tiled_gemm<double>(op_a, op_b, alpha, a, b, beta, c);
}

}  // namespace esparse

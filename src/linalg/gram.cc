#include "linalg/gram.h"

#include "base/parallel.h"
#include "linalg/gemm.h"
#include "linalg/tiles.h"

namespace esparse {

void add_gram(MatrixView<const float> x, MatrixView<float> gram) {
  ESPARSE_CHECK(gram.rows == gram.cols && x.cols == gram.cols);
  const int64_t size = gram.rows;
  const int64_t side = tile_side(size, size / 2);  // half of the tiles
  const int64_t tiles = ceil_div(size, side);
  parallel_for_sized(tiles * tiles, size * size / 2 * x.rows, [&](int64_t tile, int) {
    const int64_t tile_row = tile / tiles, tile_col = tile % tiles;
    if (tile_col < tile_row) return;
    const Span1d rows = piece(tile_row, side, size), cols = piece(tile_col, side, size);
    const auto target = gram.rows_from(rows.begin, rows.count).cols_from(cols.begin, cols.count);
    if (tile_row == tile_col) {
      blas_add_gram_upper(x.cols_from(rows.begin, rows.count), target);
    } else {
      blas_gemm(Op::transpose, Op::none, 1.0f, x.cols_from(rows.begin, rows.count), x.cols_from(cols.begin, cols.count),
                1.0f, target);
    }
  });
}

void mirror_upper(MatrixView<float> m) {
  ESPARSE_CHECK(m.rows == m.cols);
  constexpr int64_t kSide = 64;  // two tiles of 16 KiB: reads down the columns stay in the cache
  const int64_t tiles = ceil_div(m.rows, kSide);
  parallel_for_sized(tiles, m.rows * m.rows, [&](int64_t tile_row, int) {
    const Span1d rows = piece(tile_row, kSide, m.rows);
    for (int64_t first = 0; first < rows.begin + rows.count; first += kSide) {
      for (int64_t i = rows.begin; i < rows.begin + rows.count; ++i) {
        const int64_t end = std::min(i, first + kSide);
        for (int64_t j = first; j < end; ++j) m(i, j) = m(j, i);
      }
    }
  });
}

void add_cross(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c) {
  gemm(Op::transpose, Op::none, 1.0f, a, b, 1.0f, c);
}

}  // namespace esparse

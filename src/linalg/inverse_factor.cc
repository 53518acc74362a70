#include "linalg/inverse_factor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/scratch.h"
#include "linalg/tiles.h"

namespace esparse {
namespace {

// work, lower half = J (gram + shift I) J. False when an entry is not finite.
bool load_reversed(MatrixView<const float> gram, double shift, MatrixView<double> work) {
  constexpr int64_t kRows = 32;
  const int64_t size = gram.rows, chunks = ceil_div(size, kRows);
  std::vector<uint8_t> finite(static_cast<size_t>(chunks), 1);
  parallel_for_sized(chunks, size * size, [&](int64_t chunk, int) {
    const Span1d rows = piece(chunk, kRows, size);
    float check = 0;  // NaN after the first entry that is not finite
    for (int64_t row = rows.begin; row < rows.begin + rows.count; ++row) {
      const float* source = gram.row(size - 1 - row).data();
      double* target = work.row(row).data();
      for (int64_t col = 0; col <= row; ++col) {
        const float value = source[size - 1 - col];
        check += value * 0.0f;
        target[col] = value;
      }
      if (target[row] == 0) target[row] = 1;  // a dead channel
      target[row] += shift;
    }
    finite[chunk] = check == 0;
  });
  return std::find(finite.begin(), finite.end(), 0) == finite.end();
}

// Pivots that are rounding noise of the factorisation in double say as much as negative ones.
Status check_pivots(MatrixView<const double> factor, const std::vector<double>& diagonal) {
  const int64_t size = factor.rows;
  const double noise = static_cast<double>(size) * std::numeric_limits<double>::epsilon();
  for (int64_t row = 0; row < size; ++row) {
    if (factor(row, row) * factor(row, row) <= noise * diagonal[row])
      return numeric_error("Cholesky factor: channel {} depends on the channels after it", size - 1 - row);
  }
  return {};
}

// work, lower half = L with J (gram + damping mean I) J = L L^T.
Status factor_reversed(MatrixView<const float> gram, double damping, MatrixView<double> work) {
  ESPARSE_CHECK(gram.rows == gram.cols);
  if (!(damping >= 0) || !std::isfinite(damping))
    return invalid_argument("damping: expected a finite number >= 0, got {}", damping);
  if (!load_reversed(gram, damping * mean_diagonal(gram), work))
    return numeric_error("gram of the inputs: an entry is not finite");
  std::vector<double> diagonal(static_cast<size_t>(gram.rows));
  for (int64_t row = 0; row < gram.rows; ++row) diagonal[row] = work(row, row);
  Status status = cholesky_lower(work);
  if (status.ok()) status = check_pivots(work, diagonal);
  if (!status.ok()) return status.with_context(fmt::format("gram of the inputs with damping {}", damping));
  return {};
}

// u = J l^-1 J in f32; false when an entry is too large for f32.
bool store_reversed(MatrixView<const double> inverse, MatrixView<float> u) {
  constexpr int64_t kRows = 32;
  const int64_t size = u.rows, chunks = ceil_div(size, kRows);
  std::vector<uint8_t> finite(static_cast<size_t>(chunks), 1);
  parallel_for_sized(chunks, size * size, [&](int64_t chunk, int) {
    const Span1d rows = piece(chunk, kRows, size);
    float check = 0;
    for (int64_t row = rows.begin; row < rows.begin + rows.count; ++row) {
      const double* source = inverse.row(size - 1 - row).data();
      float* target = u.row(row).data();
      std::fill(target, target + row, 0.0f);
      for (int64_t col = row; col < size; ++col) {
        target[col] = static_cast<float>(source[size - 1 - col]);
        check += target[col] * 0.0f;
      }
    }
    finite[chunk] = check == 0;
  });
  return std::find(finite.begin(), finite.end(), 0) == finite.end();
}

// gram = U from the factor in `work`.
Status invert_into(MatrixView<double> work, MatrixView<float> gram) {
  invert_lower(work);
  if (!store_reversed(work, gram)) return numeric_error("factor of the inverse gram: an entry is too large for f32");
  return {};
}

}  // namespace

double mean_diagonal(MatrixView<const float> gram) {
  double sum = 0;
  int64_t live = 0;
  for (int64_t i = 0; i < gram.rows; ++i) {
    sum += gram(i, i);
    live += gram(i, i) != 0;
  }
  return live == 0 ? 0 : sum / static_cast<double>(live);
}

Result<Matrix<float>> inverse_cholesky_upper(Matrix<float> gram, double damping) {
  ScratchMatrix<double> work(gram.rows(), gram.cols());
  ESPARSE_RETURN_IF_ERROR(factor_reversed(gram.view(), damping, work.view()));
  ESPARSE_RETURN_IF_ERROR(invert_into(work.view(), gram.view()));
  return gram;
}

Result<InverseFactor> inverse_cholesky_upper_ladder(Matrix<float> gram, double damping) {
  constexpr int kSteps = 6;
  ScratchMatrix<double> work(gram.rows(), gram.cols());
  for (int step = 0;; ++step) {
    const Status status = factor_reversed(gram.view(), damping, work.view());
    if (status.ok()) break;
    if (status.kind() != StatusKind::numeric || damping >= 1) return status;
    damping = step >= kSteps ? 1.0 : std::min(1.0, std::max(10 * damping, 1e-6));
  }
  ESPARSE_RETURN_IF_ERROR(invert_into(work.view(), gram.view()));
  return InverseFactor{std::move(gram), damping};
}

std::vector<double> inverse_diagonal(const Matrix<float>& u) {
  std::vector<double> diagonal(static_cast<size_t>(u.cols()));
  for (int64_t i = 0; i < u.rows(); ++i)
    for (int64_t j = i; j < u.cols(); ++j) diagonal[j] += static_cast<double>(u(i, j)) * u(i, j);
  return diagonal;
}

Status solve_gram_right(MatrixView<const float> gram, double damping, MatrixView<float> b) {
  ESPARSE_CHECK(gram.rows == gram.cols && b.cols == gram.cols);
  const int64_t size = gram.rows;
  ScratchMatrix<double> work(size, size);
  ESPARSE_RETURN_IF_ERROR(factor_reversed(gram, damping, work.view()));
  const int64_t side = panel_rows(b.rows);
  parallel_for(ceil_div(b.rows, side), [&](int64_t index, int) {
    const Span1d rows = piece(index, side, b.rows);
    ScratchMatrix<double> panel(rows.count, size);
    const auto x = panel.view();
    for (int64_t row = 0; row < rows.count; ++row)
      for (int64_t col = 0; col < size; ++col) x(row, col) = b(rows.begin + row, size - 1 - col);
    blas_solve_right(Op::transpose, 1.0, work.view(), x);
    blas_solve_right(Op::none, 1.0, work.view(), x);
    for (int64_t row = 0; row < rows.count; ++row)
      for (int64_t col = 0; col < size; ++col) b(rows.begin + row, size - 1 - col) = static_cast<float>(x(row, col));
  });
  return {};
}

}  // namespace esparse

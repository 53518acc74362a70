#include "linalg/blas.h"

#include <algorithm>
#include <cmath>

#include <cblas.h>

// LAPACK as OpenBLAS exports it, column-major.
extern "C" {
void dpotrf_(const char* uplo, const blasint* n, double* a, const blasint* lda, blasint* info);
void dtrtri_(const char* uplo, const char* diag, const blasint* n, double* a, const blasint* lda, blasint* info);
}

namespace esparse {
namespace {

void use_one_thread() {
  static const bool once = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  static_cast<void>(once);
}

CBLAS_TRANSPOSE cblas_op(Op op) { return op == Op::none ? CblasNoTrans : CblasTrans; }

template <typename T>
blasint leading(MatrixView<T> m) {
  return static_cast<blasint>(std::max<int64_t>(1, m.stride));
}

template <typename T>
blasint check_gemm(Op op_a, Op op_b, MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c) {
  const int64_t depth = op_a == Op::none ? a.cols : a.rows;
  ESPARSE_CHECK((op_a == Op::none ? a.rows : a.cols) == c.rows);
  ESPARSE_CHECK((op_b == Op::none ? b.cols : b.rows) == c.cols);
  ESPARSE_CHECK((op_b == Op::none ? b.rows : b.cols) == depth);
  use_one_thread();
  return static_cast<blasint>(depth);
}

}  // namespace

void blas_gemm(Op op_a, Op op_b, float alpha, MatrixView<const float> a, MatrixView<const float> b, float beta,
               MatrixView<float> c) {
  const blasint depth = check_gemm(op_a, op_b, a, b, c);
  if (c.rows == 0 || c.cols == 0) return;
  cblas_sgemm(CblasRowMajor, cblas_op(op_a), cblas_op(op_b), static_cast<blasint>(c.rows), static_cast<blasint>(c.cols),
              depth, alpha, a.data, leading(a), b.data, leading(b), beta, c.data, leading(c));
}

void blas_gemm(Op op_a, Op op_b, double alpha, MatrixView<const double> a, MatrixView<const double> b, double beta,
               MatrixView<double> c) {
  const blasint depth = check_gemm(op_a, op_b, a, b, c);
  if (c.rows == 0 || c.cols == 0) return;
  cblas_dgemm(CblasRowMajor, cblas_op(op_a), cblas_op(op_b), static_cast<blasint>(c.rows), static_cast<blasint>(c.cols),
              depth, alpha, a.data, leading(a), b.data, leading(b), beta, c.data, leading(c));
}

void blas_add_gram_upper(MatrixView<const float> a, MatrixView<float> c) {
  ESPARSE_CHECK(c.rows == c.cols && a.cols == c.cols);
  use_one_thread();
  if (c.rows == 0 || a.rows == 0) return;
  cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, static_cast<blasint>(c.rows), static_cast<blasint>(a.rows), 1.0f,
              a.data, leading(a), 1.0f, c.data, leading(c));
}

void blas_subtract_square_lower(MatrixView<const double> a, MatrixView<double> c) {
  ESPARSE_CHECK(c.rows == c.cols && a.rows == c.rows);
  use_one_thread();
  if (c.rows == 0 || a.cols == 0) return;
  cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, static_cast<blasint>(c.rows), static_cast<blasint>(a.cols), -1.0,
              a.data, leading(a), 1.0, c.data, leading(c));
}

void blas_solve_right(Op op_l, float alpha, MatrixView<const float> l, MatrixView<float> b) {
  ESPARSE_CHECK(l.rows == l.cols && b.cols == l.rows);
  use_one_thread();
  if (b.rows == 0 || b.cols == 0) return;
  cblas_strsm(CblasRowMajor, CblasRight, CblasLower, cblas_op(op_l), CblasNonUnit, static_cast<blasint>(b.rows),
              static_cast<blasint>(b.cols), alpha, l.data, leading(l), b.data, leading(b));
}

void blas_solve_right(Op op_l, double alpha, MatrixView<const double> l, MatrixView<double> b) {
  ESPARSE_CHECK(l.rows == l.cols && b.cols == l.rows);
  use_one_thread();
  if (b.rows == 0 || b.cols == 0) return;
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, cblas_op(op_l), CblasNonUnit, static_cast<blasint>(b.rows),
              static_cast<blasint>(b.cols), alpha, l.data, leading(l), b.data, leading(b));
}

void blas_solve_left(MatrixView<const double> l, MatrixView<double> b) {
  ESPARSE_CHECK(l.rows == l.cols && b.rows == l.rows);
  use_one_thread();
  if (b.rows == 0 || b.cols == 0) return;
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, static_cast<blasint>(b.rows),
              static_cast<blasint>(b.cols), 1.0, l.data, leading(l), b.data, leading(b));
}

int64_t blas_cholesky_lower(MatrixView<double> a) {
  ESPARSE_CHECK(a.rows == a.cols);
  use_one_thread();
  if (a.rows == 0) return -1;
  const blasint n = static_cast<blasint>(a.rows), stride = leading(a);
  blasint info = 0;
  dpotrf_("U", &n, a.data, &stride, &info);  // lower in rows is upper in columns
  ESPARSE_CHECK(info >= 0);
  if (info > 0) return info - 1;
  // OpenBLAS tests a pivot with <= 0 alone, which lets NaN through.
  for (int64_t i = 0; i < a.rows; ++i)
    if (!(a(i, i) > 0) || !std::isfinite(a(i, i))) return i;
  return -1;
}

void blas_invert_lower(MatrixView<double> l) {
  ESPARSE_CHECK(l.rows == l.cols);
  use_one_thread();
  if (l.rows == 0) return;
  const blasint n = static_cast<blasint>(l.rows), stride = leading(l);
  blasint info = 0;
  dtrtri_("U", "N", &n, l.data, &stride, &info);
  ESPARSE_CHECK(info == 0);
}

}  // namespace esparse

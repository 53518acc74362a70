// OpenBLAS on one thread, with our matrices: the pieces that parallel_for bodies of this folder are made of.
// OpenBLAS is told to use one thread for the whole process at the first call: its own split of a product depends on
// the number of threads, and so would the rounding. Every function may be called from several threads at once.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace esparse {

enum class Op { none, transpose };

// c = alpha * op(a) * op(b) + beta * c. With beta = 0 the old c is not read.
void blas_gemm(Op op_a, Op op_b, float alpha, MatrixView<const float> a, MatrixView<const float> b, float beta,
               MatrixView<float> c);
void blas_gemm(Op op_a, Op op_b, double alpha, MatrixView<const double> a, MatrixView<const double> b, double beta,
               MatrixView<double> c);

// upper half of c [cols, cols] += a^T * a, a [depth, cols].
void blas_add_gram_upper(MatrixView<const float> a, MatrixView<float> c);
// lower half of c [rows, rows] -= a * a^T, a [rows, depth].
void blas_subtract_square_lower(MatrixView<const double> a, MatrixView<double> c);

// b = alpha * b * op(l)^-1, l lower triangular (its other half is not read), b [rows, l.rows].
void blas_solve_right(Op op_l, float alpha, MatrixView<const float> l, MatrixView<float> b);
void blas_solve_right(Op op_l, double alpha, MatrixView<const double> l, MatrixView<double> b);
// b = l^-1 * b, l lower triangular, b [l.rows, cols].
void blas_solve_left(MatrixView<const double> l, MatrixView<double> b);

// Lower half: a = L with a = L L^T. Returns -1, or the first row whose pivot is not positive.
int64_t blas_cholesky_lower(MatrixView<double> a);
// Lower half: l = l^-1. Diagonal entries must not be zero.
void blas_invert_lower(MatrixView<double> l);

}  // namespace esparse

// Dense matrix products on all threads, the same bits for any number of them.
#pragma once

#include "base/matrix.h"
#include "linalg/blas.h"

namespace esparse {

// c = alpha * op(a) * op(b) + beta * c; c must not overlap a or b. With beta = 0 the old c is not read. Inside a
// parallel_for body it runs on the calling thread.
void gemm(Op op_a, Op op_b, float alpha, MatrixView<const float> a, MatrixView<const float> b, float beta,
          MatrixView<float> c);
void gemm(Op op_a, Op op_b, double alpha, MatrixView<const double> a, MatrixView<const double> b, double beta,
          MatrixView<double> c);

}  // namespace esparse

// oneDNN's f32 matrix product on one thread; callers bring the parallelism.
#pragma once

#include "base/matrix.h"

namespace esparse {

// c [rows, cols] = alpha * a [rows, depth] * b^T + beta * c, b [cols, depth]. Call inside a parallel_for body.
void sgemm_transposed(float alpha, MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c,
                      float beta = 0.0f);
// c [rows, cols] = a [rows, depth] * b [depth, cols] + beta * c. Call inside a parallel_for body.
void sgemm(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c, float beta = 0.0f);

}  // namespace esparse

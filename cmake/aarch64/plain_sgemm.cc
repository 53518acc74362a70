// Stands in for kernels/sgemm.cc, which needs oneDNN: plain loops.
#include "kernels/sgemm.h"

namespace esparse {

void sgemm_transposed(float alpha, MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c,
                      float beta) {
  for (int64_t i = 0; i < c.rows; ++i)
    for (int64_t j = 0; j < c.cols; ++j) {
      float sum = 0;
      for (int64_t k = 0; k < a.cols; ++k) sum += a(i, k) * b(j, k);
      c(i, j) = alpha * sum + (beta == 0.0f ? 0.0f : beta * c(i, j));
    }
}

void sgemm(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c, float beta) {
  for (int64_t i = 0; i < c.rows; ++i)
    for (int64_t j = 0; j < c.cols; ++j) {
      float sum = 0;
      for (int64_t k = 0; k < a.cols; ++k) sum += a(i, k) * b(k, j);
      c(i, j) = sum + (beta == 0.0f ? 0.0f : beta * c(i, j));
    }
}

}  // namespace esparse

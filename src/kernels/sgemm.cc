#include "kernels/sgemm.h"

#include "kernels/onednn.h"

namespace esparse {

void sgemm_transposed(float alpha, MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c) {
  ESPARSE_CHECK(a.cols == b.cols && a.rows == c.rows && b.rows == c.cols);
  limit_onednn();
  const dnnl_status_t status =
      dnnl_sgemm('N', 'T', c.rows, c.cols, a.cols, alpha, a.data, a.stride, b.data, b.stride, 0.0f, c.data, c.stride);
  ESPARSE_CHECK(status == dnnl_success);
}

void sgemm(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c, float beta) {
  ESPARSE_CHECK(a.cols == b.rows && a.rows == c.rows && b.cols == c.cols);
  limit_onednn();
  const dnnl_status_t status =
      dnnl_sgemm('N', 'N', c.rows, c.cols, a.cols, 1.0f, a.data, a.stride, b.data, b.stride, beta, c.data, c.stride);
  ESPARSE_CHECK(status == dnnl_success);
}

}  // namespace esparse

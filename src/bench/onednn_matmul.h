// oneDNN's matmul, the dense library that sparse kernels have to beat.
#pragma once

#include <memory>
#include <string>

#include "base/dtype.h"
#include "base/matrix.h"

namespace esparse {

// y = x W^T with W in the layout oneDNN prefers, in several copies used in turn (see cold_weights.h). Its reorder, and
// the conversion of x to `dtype`, happen once and are not part of run(), in its favour. Uses all threads: call outside
// of parallel_for.
class OneDnnMatmul {
 public:
  // x [tokens, in_features], weight [out_features, in_features], y [tokens, out_features] without gaps between rows;
  // x and y must live as long as the result. Null where this processor has nothing but a reference implementation.
  static std::unique_ptr<OneDnnMatmul> create(DType dtype, const Matrix<float>& weight, MatrixView<const float> x,
                                              MatrixView<float> y);
  virtual ~OneDnnMatmul() = default;
  virtual void run() = 0;
  virtual std::string kernel() const = 0;  // "onednn bf16 brg:avx512_core_bf16"
  virtual int64_t weight_bytes() const = 0;
};

}  // namespace esparse

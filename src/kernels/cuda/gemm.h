// Dense products on the device, by a library.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// y (+)= x w^T: x [tokens, in], w [out, in], y [tokens, out], row-major; sums in f32. f32 inputs are multiplied as f32
// (no TF32). Strides are elements from one row to the next.
struct GemmArgs {
  const void* x = nullptr;
  const void* w = nullptr;
  void* y = nullptr;
  int64_t tokens = 0, in = 0, out = 0;
  int64_t x_stride = 0, w_stride = 0, y_stride = 0;
  Element type = Element::bf16;    // of x and w
  Element y_type = Element::bf16;  // `type`, or f32
  bool add = false;                // y += instead of y =
};

class GemmLibrary {
 public:
  virtual ~GemmLibrary() = default;
  // Asynchronous, in the order of the stream; may be captured into a graph when the same shape has run before. Errors
  // name shape and library call.
  virtual Status gemm(const GemmArgs& args, Stream stream) const = 0;
};

}  // namespace esparse::cuda

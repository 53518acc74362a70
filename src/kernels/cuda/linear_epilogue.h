// What happens to the sums of a linear: bias, then to memory.
#pragma once

#include "kernels/cuda/elements.h"

namespace esparse::cuda::ESPARSE_BACKEND {

struct Epilogue {
  const float* bias;  // or null
  void* y;
  int64_t stride;
  Element type;  // of y: f32, or that of the product (T)
  bool add;

  template <typename T>
  __device__ __forceinline__ void store(int64_t token, int64_t row, float sum) const {
    if (bias != nullptr) sum += bias[row];
    const int64_t place = token * stride + row;
    if (type == Element::f32) {
      float* target = static_cast<float*>(y) + place;
      *target = add ? *target + sum : sum;
    } else {
      T* target = static_cast<T*>(y) + place;
      from_float(add ? to_float(*target) + sum : sum, *target);
    }
  }
};

}  // namespace esparse::cuda::ESPARSE_BACKEND

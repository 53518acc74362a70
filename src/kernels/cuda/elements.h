// 16-bit elements in kernels: kept as raw bits, computed with in f32.
#pragma once

#include "kernels/cuda/device.h"

namespace esparse::cuda::ESPARSE_BACKEND {

struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

#ifdef __CUDACC__
__device__ __forceinline__ float to_float(Bf16 x) { return __uint_as_float(static_cast<uint32_t>(x.bits) << 16); }
__device__ __forceinline__ float to_float(F16 x) { return __half2float(__ushort_as_half(x.bits)); }
__device__ __forceinline__ void from_float(float x, Bf16& y) { y.bits = __bfloat16_as_ushort(__float2bfloat16_rn(x)); }
__device__ __forceinline__ void from_float(float x, F16& y) { y.bits = __half_as_ushort(__float2half_rn(x)); }
#else
inline float to_float(Bf16 x) { return to_f32(bf16{x.bits}); }
inline float to_float(F16 x) { return to_f32(f16{x.bits}); }
inline void from_float(float x, Bf16& y) { y.bits = to_bf16(x).bits; }
inline void from_float(float x, F16& y) { y.bits = to_f16(x).bits; }
#endif

// So that templates may also be of f32.
__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ void from_float(float x, float& y) { y = x; }

// Two neighbours in one register, the first in the low half.
template <typename T>
__device__ __forceinline__ uint32_t pack_pair(float low, float high) {
  T a, b;
  from_float(low, a);
  from_float(high, b);
  return a.bits | static_cast<uint32_t>(b.bits) << 16;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND

// Sums over the threads of a warp and of a block.
#pragma once

#include "kernels/cuda/device.h"

namespace esparse::cuda::ESPARSE_BACKEND {

inline constexpr int kWarp = 32;

__device__ __forceinline__ float warp_sum(float x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

// Every thread gets the sum over the block, always added in the same order. At most 1024 threads, a multiple of 32.
__device__ __forceinline__ float block_sum(float x) {
  __shared__ float parts[kWarp];
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  x = warp_sum(x);
  __syncthreads();  // the parts of a sum before this one have been read
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  return warp_sum(lane < static_cast<int>(blockDim.x) / kWarp ? parts[lane] : 0.0f);
}

}  // namespace esparse::cuda::ESPARSE_BACKEND

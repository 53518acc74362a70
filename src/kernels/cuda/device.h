// The first include of every .cu file. nvcc makes GPU code of it; g++ makes the same kernels run on the CPU
// (emulated/emulator.h), which is how they are tested without a GPU.
//
// Rules for kernels: one argument, a struct by value; shared memory through dynamic_shared() or `__shared__`; whatever
// the emulator lacks is added there, not worked around in a kernel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/launch_types.h"

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define ESPARSE_BACKEND device
// Before a loop whose indices must be constants: registers cannot be indexed.
#define ESPARSE_UNROLL _Pragma("unroll")

namespace esparse::cuda::device {

template <typename T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[];
  return reinterpret_cast<T*>(dynamic_shared_bytes);
}

// Launches kernel(args) with `shared_bytes` of dynamic shared memory, more than 48 KiB too.
template <typename Args>
LaunchCode launch(void (*kernel)(Args), dim3 grid, dim3 block, int64_t shared_bytes, Stream stream, const Args& args) {
  if (shared_bytes > 48 * 1024) {
    const cudaError_t raised =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes));
    if (raised != cudaSuccess) {
      cudaGetLastError();
      return raised;
    }
  }
  kernel<<<grid, block, static_cast<size_t>(shared_bytes), static_cast<cudaStream_t>(stream)>>>(args);
  return cudaGetLastError();
}

}  // namespace esparse::cuda::device

#else
#include "kernels/cuda/emulated/emulator.h"
#define ESPARSE_BACKEND emulated
#define ESPARSE_UNROLL
#endif

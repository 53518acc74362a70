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

// So that a launch of `kernel` may ask for more than 48 KiB of shared memory.
template <typename Args>
LaunchCode allow_shared_bytes(void (*kernel)(Args), int64_t shared_bytes) {
  if (shared_bytes <= 48 * 1024) return 0;
  const cudaError_t raised =
      cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(shared_bytes));
  if (raised != cudaSuccess) cudaGetLastError();
  return raised;
}

// Launches kernel(args) with `shared_bytes` of dynamic shared memory, more than 48 KiB too.
template <typename Args>
LaunchCode launch(void (*kernel)(Args), dim3 grid, dim3 block, int64_t shared_bytes, Stream stream, const Args& args) {
  if (const LaunchCode raised = allow_shared_bytes(kernel, shared_bytes); raised != 0) return raised;
  kernel<<<grid, block, static_cast<size_t>(shared_bytes), static_cast<cudaStream_t>(stream)>>>(args);
  return cudaGetLastError();
}

// A kernel that may start while the kernel before it is ending (compute capability 9.0; `early` false: not so). It does
// what depends on nothing before, and calls wait_for_kernels_before() (memory.h) before it reads what they wrote and
// before it writes anything.
template <typename Args>
LaunchCode launch_early(void (*kernel)(Args), dim3 grid, dim3 block, int64_t shared_bytes, Stream stream,
                        const Args& args, bool early) {
  if (!early) return launch(kernel, grid, block, shared_bytes, stream, args);
  if (const LaunchCode raised = allow_shared_bytes(kernel, shared_bytes); raised != 0) return raised;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid, config.blockDim = block, config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config.stream = static_cast<cudaStream_t>(stream), config.attrs = &attribute, config.numAttrs = 1;
  const cudaError_t code = cudaLaunchKernelEx(&config, kernel, args);
  if (code != cudaSuccess) cudaGetLastError();
  return code;
}

}  // namespace esparse::cuda::device

#else
#include "kernels/cuda/emulated/emulator.h"
#define ESPARSE_BACKEND emulated
#define ESPARSE_UNROLL
#endif

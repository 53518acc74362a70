#include "kernels/cuda/backend.h"
#include "kernels/cuda/runtime_cuda.h"

namespace esparse::cuda {
namespace device {
const ElementwiseKernels& elementwise_kernels();
const StatisticsKernels& statistics_kernels();
const ObsKernels& obs_kernels();
const ShuffleKernels& shuffle_kernels();
}  // namespace device

Result<const Backend*> device_backend() {
  static const Backend backend = {
      .name = "cuda",
      .runtime = &cuda_runtime(),
      .gemm = nullptr,
      .elementwise = &device::elementwise_kernels(),
      .statistics = &device::statistics_kernels(),
      .obs = &device::obs_kernels(),
      .shuffle = &device::shuffle_kernels(),
  };
  return &backend;
}

}  // namespace esparse::cuda

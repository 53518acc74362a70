#include "kernels/cuda/backend.h"
#include "kernels/cuda/runtime_cuda.h"

namespace esparse::cuda {
namespace device {
const ElementwiseKernels& elementwise_kernels();
const LinearPartsKernels& linear_parts_kernels();
}

Result<const Backend*> device_backend() {
  static const Backend backend = [] {
    Backend result;
    result.name = "cuda", result.runtime = &cuda_runtime();
    result.elementwise = &device::elementwise_kernels();
    result.linear_parts = &device::linear_parts_kernels();
    return result;
  }();
  return &backend;
}

}  // namespace esparse::cuda

#include "kernels/cuda/backend.h"
#include "kernels/cuda/runtime_cuda.h"

namespace esparse::cuda {
namespace device {
const ElementwiseKernels& elementwise_kernels();
}

Result<const Backend*> device_backend() {
  static const Backend backend = {"cuda", &cuda_runtime(), nullptr, &device::elementwise_kernels()};
  return &backend;
}

}  // namespace esparse::cuda

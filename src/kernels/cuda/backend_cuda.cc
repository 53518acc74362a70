#include "kernels/cuda/backend.h"
#include "kernels/cuda/gemm_cublaslt.h"
#include "kernels/cuda/runtime_cuda.h"
#include "kernels/cuda/sparse_cusparselt.h"

namespace esparse::cuda {
namespace device {
const ElementwiseKernels& elementwise_kernels();
}

Result<const Backend*> device_backend() {
  static const Backend backend = {"cuda", &cuda_runtime(), &cublaslt_gemm(), &cusparselt(),
                                  &device::elementwise_kernels()};
  return &backend;
}

}  // namespace esparse::cuda

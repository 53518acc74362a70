#include "kernels/cuda/backend.h"
#include "kernels/cuda/gemm_cublaslt.h"
#include "kernels/cuda/runtime_cuda.h"
#include "kernels/cuda/sparse_cusparselt.h"

namespace esparse::cuda {
namespace device {
KernelFamilies kernel_families();  // families.cu, whose header is for nvcc
}

Result<const Backend*> device_backend() {
  static const Backend backend{device::kernel_families(), "cuda", &cuda_runtime(), &cublaslt_gemm(), &cusparselt()};
  return &backend;
}

}  // namespace esparse::cuda

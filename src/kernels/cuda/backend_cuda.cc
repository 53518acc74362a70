#include "kernels/cuda/backend.h"
#include "kernels/cuda/runtime_cuda.h"

namespace esparse::cuda {
namespace device {
const AttentionKernels& attention_kernels();
const ElementwiseKernels& elementwise_kernels();
const HeadKernels& head_kernels();
const LinearPartsKernels& linear_parts_kernels();
const TokenKernels& token_kernels();
}

Result<const Backend*> device_backend() {
  static const Backend backend = [] {
    Backend result;
    result.name = "cuda", result.runtime = &cuda_runtime();
    result.attention = &device::attention_kernels();
    result.elementwise = &device::elementwise_kernels();
    result.heads = &device::head_kernels();
    result.linear_parts = &device::linear_parts_kernels();
    result.tokens = &device::token_kernels();
    return result;
  }();
  return &backend;
}

}  // namespace esparse::cuda

#include "kernels/cuda/backend.h"
#include "kernels/cuda/gemm_cublaslt.h"
#include "kernels/cuda/runtime_cuda.h"
#include "kernels/cuda/sparse_cusparselt.h"

namespace esparse::cuda {
namespace device {
const AttentionKernels& attention_kernels();
const ElementwiseKernels& elementwise_kernels();
const HeadKernels& head_kernels();
const ShuffleKernels& shuffle_kernels();
const ObsKernels& obs_kernels();
const StatisticsKernels& statistics_kernels();
const FewLinearKernels& few_linear_kernels();
const FewBitsKernels& few_bits_kernels();
const PrefillLinearKernels& prefill_linear_kernels();
const LinearPartsKernels& linear_parts_kernels();
const TokenKernels& token_kernels();
}  // namespace device

Result<const Backend*> device_backend() {
  static const Backend backend = [] {
    Backend result;
    result.name = "cuda", result.runtime = &cuda_runtime();
    result.attention = &device::attention_kernels();
    result.elementwise = &device::elementwise_kernels();
    result.heads = &device::head_kernels();
    result.gemm = &cublaslt_gemm(), result.sparse_library = &cusparselt();
    result.few_linear = &device::few_linear_kernels();
    result.few_bits = &device::few_bits_kernels();
    result.prefill_linear = &device::prefill_linear_kernels();
    result.linear_parts = &device::linear_parts_kernels();
    result.tokens = &device::token_kernels();
    result.shuffle = &device::shuffle_kernels();
    result.obs = &device::obs_kernels();
    result.statistics = &device::statistics_kernels();
    return result;
  }();
  return &backend;
}

}  // namespace esparse::cuda

#include "kernels/cuda/families.h"

namespace esparse::cuda::ESPARSE_BACKEND {

KernelFamilies kernel_families() {
  KernelFamilies all;
  all.attention = &attention_kernels();
  all.elementwise = &elementwise_kernels();
  all.few_bits = &few_bits_kernels();
  all.few_linear = &few_linear_kernels();
  all.heads = &head_kernels();
  all.linear_parts = &linear_parts_kernels();
  all.obs = &obs_kernels();
  all.prefill_linear = &prefill_linear_kernels();
  all.shuffle = &shuffle_kernels();
  all.statistics = &statistics_kernels();
  all.tokens = &token_kernels();
  return all;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND

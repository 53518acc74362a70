// The families of one backend; each .cu file defines its own.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/cuda/kernel_families.h"

namespace esparse::cuda::ESPARSE_BACKEND {

const AttentionKernels& attention_kernels();
const ElementwiseKernels& elementwise_kernels();
const FewBitsKernels& few_bits_kernels();
const FewLinearKernels& few_linear_kernels();
const HeadKernels& head_kernels();
const LinearPartsKernels& linear_parts_kernels();
const ObsKernels& obs_kernels();
const PrefillLinearKernels& prefill_linear_kernels();
const ShuffleKernels& shuffle_kernels();
const StatisticsKernels& statistics_kernels();
const TokenKernels& token_kernels();

KernelFamilies kernel_families();

}  // namespace esparse::cuda::ESPARSE_BACKEND

// The families of one backend; each .cu file defines its own.
#pragma once

#include "kernels/cuda/device.h"

namespace esparse::cuda {
struct AttentionKernels;
struct ElementwiseKernels;
struct HeadKernels;
struct StatisticsKernels;
struct ObsKernels;
struct ShuffleKernels;
struct FewLinearKernels;
struct FewBitsKernels;
struct PrefillLinearKernels;
struct LinearPartsKernels;
struct TokenKernels;
}  // namespace esparse::cuda

namespace esparse::cuda::ESPARSE_BACKEND {

const AttentionKernels& attention_kernels();
const ElementwiseKernels& elementwise_kernels();
const HeadKernels& head_kernels();
const StatisticsKernels& statistics_kernels();
const ObsKernels& obs_kernels();
const ShuffleKernels& shuffle_kernels();
const FewLinearKernels& few_linear_kernels();
const FewBitsKernels& few_bits_kernels();
const PrefillLinearKernels& prefill_linear_kernels();
const LinearPartsKernels& linear_parts_kernels();
const TokenKernels& token_kernels();

}  // namespace esparse::cuda::ESPARSE_BACKEND

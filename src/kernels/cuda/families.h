// The families of one backend; each .cu file defines its own.
#pragma once

#include "kernels/cuda/device.h"

namespace esparse::cuda {
struct AttentionKernels;
struct ElementwiseKernels;
struct HeadKernels;
struct LinearPartsKernels;
struct TokenKernels;
}  // namespace esparse::cuda

namespace esparse::cuda::ESPARSE_BACKEND {

const AttentionKernels& attention_kernels();
const ElementwiseKernels& elementwise_kernels();
const HeadKernels& head_kernels();
const LinearPartsKernels& linear_parts_kernels();
const TokenKernels& token_kernels();

}  // namespace esparse::cuda::ESPARSE_BACKEND

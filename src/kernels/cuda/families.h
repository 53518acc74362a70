// The families of one backend; each .cu file defines its own.
#pragma once

#include "kernels/cuda/device.h"

namespace esparse::cuda {
struct ElementwiseKernels;
struct LinearPartsKernels;
}

namespace esparse::cuda::ESPARSE_BACKEND {

const ElementwiseKernels& elementwise_kernels();
const LinearPartsKernels& linear_parts_kernels();

}  // namespace esparse::cuda::ESPARSE_BACKEND

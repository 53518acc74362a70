// The families of one backend; each .cu file defines its own.
#pragma once

#include "kernels/cuda/device.h"

namespace esparse::cuda {
struct ElementwiseKernels;
}

namespace esparse::cuda::ESPARSE_BACKEND {

const ElementwiseKernels& elementwise_kernels();

}  // namespace esparse::cuda::ESPARSE_BACKEND

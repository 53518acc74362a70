#pragma once

#include "kernels/cuda/gemm.h"

namespace esparse::cuda {

// cuBLASLt, opened at run time. Keeps 32 MiB of the device as workspace, and of each product its descriptors and its
// algorithm. For the device that is current at the first product.
const GemmLibrary& cublaslt_gemm();

}  // namespace esparse::cuda

#pragma once

#include <memory>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/library_host.h"

namespace esparse::cuda {

// cuBLASLt, opened at run time, when it is first needed. Keeps 32 MiB of the device as workspace, and of each product
// its descriptors and its algorithm. For the device that is current at the first product.
std::unique_ptr<GemmLibrary> make_cublaslt_gemm(LibraryHost host);

// On the GPU of this process.
const GemmLibrary& cublaslt_gemm();

}  // namespace esparse::cuda

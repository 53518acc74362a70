#pragma once

#include <functional>
#include <memory>

#include "kernels/cuda/backend.h"
#include "kernels/cuda/gemm.h"

namespace esparse::cuda {

// What cuBLASLt needs of the GPU it runs on.
struct CublasLtHost {
  const Runtime* runtime = nullptr;
  std::function<Result<DeviceInfo>()> current_device;
  std::function<bool(Stream)> is_capturing;
};

// cuBLASLt, opened at run time, when it is first needed. Keeps 32 MiB of the device as workspace, and of each product
// its descriptors and its algorithm. For the device that is current at the first product.
std::unique_ptr<GemmLibrary> make_cublaslt_gemm(CublasLtHost host);

// On the GPU of this process.
const GemmLibrary& cublaslt_gemm();

}  // namespace esparse::cuda

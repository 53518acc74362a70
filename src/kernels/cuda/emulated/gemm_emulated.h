#pragma once

#include "kernels/cuda/gemm.h"

namespace esparse::cuda {

// Plain loops over host memory, sums in f32.
const GemmLibrary& emulated_gemm();

}  // namespace esparse::cuda

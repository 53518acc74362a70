#pragma once

#include "kernels/cuda/backend.h"

namespace esparse::cuda {

const Runtime& cuda_runtime();

}  // namespace esparse::cuda

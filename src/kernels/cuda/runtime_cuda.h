#pragma once

#include "kernels/cuda/backend.h"
#include "kernels/cuda/library_host.h"

namespace esparse::cuda {

const Runtime& cuda_runtime();
// The device that is current in the thread that asks.
LibraryHost cuda_library_host();

}  // namespace esparse::cuda

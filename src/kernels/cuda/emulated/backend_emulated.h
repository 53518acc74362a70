// The kernels of kernels/cuda/ run on the CPU (emulator.h): for tests on machines without a GPU.
#pragma once

#include "kernels/cuda/backend.h"

namespace esparse::cuda {

const Backend& emulated_backend();

}  // namespace esparse::cuda

// What people read about the GPU that was used.
#pragma once

#include <string>

#include "io/json.h"
#include "kernels/cuda/backend.h"

namespace esparse {

// "NVIDIA H200, compute capability 9.0, 132 multiprocessors, 139.8 GiB, driver for CUDA 13.0"
std::string gpu_line(const cuda::DeviceInfo& info);
Json gpu_json(const cuda::DeviceInfo& info);

}  // namespace esparse

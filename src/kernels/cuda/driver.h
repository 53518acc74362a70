// What the NVIDIA driver of this machine, or its absence, allows.
#pragma once

#include <string>

#include "base/status.h"

namespace esparse::cuda {

// 13000 -> "13.0", as CUDA counts.
std::string cuda_version_text(int version);

// Refuses, by name: no driver (0), one for an older major version of CUDA than this build's.
Status check_driver(int driver, int built_for);
// What cudaGetDeviceCount() said, `problem` being its error, empty of none; and whether `ordinal` is among them.
Status check_gpu_count(int count, const std::string& problem, int ordinal);

}  // namespace esparse::cuda

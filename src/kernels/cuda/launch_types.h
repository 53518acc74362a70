// What kernels and their callers share; light enough for nvcc.
#pragma once

#include <cstdint>

namespace esparse::cuda {

using Stream = void*;  // cudaStream_t
using Event = void*;   // cudaEvent_t
using Graph = void*;   // cudaGraphExec_t

// 0, or the CUDA error of a launch; Runtime::error_text() explains it.
using LaunchCode = int;

// The types that weights and activations have on a GPU.
enum class Element : uint8_t { bf16, f16, f32 };

constexpr int64_t element_bytes(Element type) { return type == Element::f32 ? 4 : 2; }

}  // namespace esparse::cuda

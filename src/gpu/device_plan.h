// Which way a linear goes on the GPU for which number of tokens.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/cuda/backend.h"
#include "kernels/linear_plan.h"

namespace esparse {

// The ways to compute y = x W^T.
enum class DevicePath : uint8_t {
  few,             // the weight is read once, in fragments of the matrix instruction: up to 64 tokens (few_linear.h)
  bits,            // rows of bits are expanded in registers: up to 16 tokens (few_bits.h)
  sparse_gemm,     // 2:4 by mma.sp, for many tokens (prefill_linear.h)
  sparse_library,  // 2:4 by the vendor's library, from its own copy of the weight (sparse_library.h)
  expand,          // rows are expanded into scratch memory and multiplied by the library
  library,         // dense as it stands, by the library
};
std::string_view path_name(DevicePath path);

// One path for each of kTokenBuckets.
struct DevicePlan {
  std::array<DevicePath, kTokenBuckets.size()> paths{};
  DevicePath path(int64_t tokens) const { return paths[static_cast<size_t>(token_bucket(tokens))]; }
  bool operator==(const DevicePlan&) const = default;
};

// What a weight is made of, as far as paths are concerned.
enum class DeviceForm : uint8_t { dense, tiles, bits, spense_tiles, spense_bits };
std::string_view form_name(DeviceForm form);

// The paths that can serve such a weight at this number of tokens on this GPU, never empty: without tensor cores for
// mma.sp (compute capability below 8.0) only bits, expand and library. `library_copy`: of the weight, for
// sparse_library.
std::vector<DevicePath> possible_paths(DeviceForm form, const cuda::DeviceInfo& gpu, int64_t tokens,
                                       bool library_copy = false);

// What to do without having measured, by the bytes and instructions that each path costs.
DevicePlan default_plan(DeviceForm form, const cuda::DeviceInfo& gpu, bool library_copy = false);

}  // namespace esparse

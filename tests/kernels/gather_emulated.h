// The gather products of other processors, on vectors emulated in plain C++ (gather_emulated_test.cc).
#pragma once

#include <vector>

#include "kernels/gather_kernels.h"

namespace esparse::testing_support {

// f32 on sixteen lanes, and pairs of bf16 beside it.
std::vector<const GatherKernels*> emulated_gather_kernels();

}  // namespace esparse::testing_support

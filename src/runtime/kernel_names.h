// What people read about a weight and the kernel that runs on it.
#pragma once

#include <string>

#include "kernels/linear_plan.h"
#include "kernels/weight.h"

namespace esparse {

// How the weight stands in memory: "dense", "4:8", "2:4 tiles", "2:4 tiles + 3584 dense rows".
std::string weight_form(const WeightView& weight);

// "few 2:4 tiles avx2", "dense-gemm on 2:4 tiles avx2" (expanded, then dense).
std::string kernel_name(const WeightView& weight, LinearPath path);

}  // namespace esparse

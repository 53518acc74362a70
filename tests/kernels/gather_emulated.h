// The gather product of other processors, on vectors emulated in plain C++ (gather_emulated_test.cc).
#pragma once

#include "kernels/gather_kernels.h"

namespace esparse::testing_support {

const GatherKernels& emulated_gather_kernels();  // sixteen lanes

}  // namespace esparse::testing_support

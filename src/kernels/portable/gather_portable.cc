// Gather products in plain C++.
#include "kernels/simd/emulated.h"
#include "kernels/simd/gather_f32.h"

namespace esparse {
const GatherKernels kPortableGatherKernels = {"portable", simd::make_gather_f32<simd::Emulated<8>>()};

}  // namespace esparse

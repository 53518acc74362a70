// Gather products in NEON.
#include "kernels/simd/gather_f32.h"
#include "kernels/simd/neon.h"

namespace esparse {
extern const GatherKernels kNeonGatherKernels;
const GatherKernels kNeonGatherKernels = {"neon", simd::make_gather_f32<simd::Neon>()};

}  // namespace esparse

// Gather products in AVX2.
#include "kernels/simd/avx2.h"
#include "kernels/simd/gather_f32.h"

namespace esparse {
extern const GatherKernels kAvx2GatherKernels;
const GatherKernels kAvx2GatherKernels = {"avx2", simd::make_gather_f32<simd::Avx2>()};

}  // namespace esparse

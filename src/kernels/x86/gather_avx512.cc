// Gather products in AVX-512.
#include "kernels/simd/avx512.h"
#include "kernels/simd/gather_f32.h"

namespace esparse {

extern const GatherKernels kAvx512GatherKernels;
const GatherKernels kAvx512GatherKernels = {"avx512", simd::make_gather_f32<simd::Avx512>()};

}  // namespace esparse

// Gather products in AVX-512: f32 alone.
#include "kernels/simd/avx512.h"
#include "kernels/simd/gather_f32.h"

namespace esparse {

extern const GatherProduct kAvx512GatherF32;
const GatherProduct kAvx512GatherF32 = simd::make_gather_f32<simd::Avx512>();

extern const GatherKernels kAvx512GatherKernels;
const GatherKernels kAvx512GatherKernels = {"avx512", &kAvx512GatherF32, nullptr};

}  // namespace esparse

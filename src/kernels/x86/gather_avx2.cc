// Gather products in AVX2: f32 alone.
#include "kernels/simd/avx2.h"
#include "kernels/simd/gather_f32.h"

namespace esparse {
namespace {
constexpr GatherProduct kF32 = simd::make_gather_f32<simd::Avx2>();
}  // namespace

extern const GatherKernels kAvx2GatherKernels;
const GatherKernels kAvx2GatherKernels = {"avx2", &kF32, nullptr};

}  // namespace esparse

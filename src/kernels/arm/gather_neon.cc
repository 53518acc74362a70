// Gather products in NEON.
#include "kernels/simd/gather_f32.h"
#include "kernels/simd/neon.h"

namespace esparse {
namespace {
constexpr GatherProduct kF32 = simd::make_gather_f32<simd::Neon>();
}  // namespace

extern const GatherKernels kNeonGatherKernels;
const GatherKernels kNeonGatherKernels = {"neon", &kF32, nullptr};

}  // namespace esparse

// Gather products in plain C++.
#include "kernels/simd/emulated.h"
#include "kernels/simd/gather_f32.h"

namespace esparse {
namespace {
constexpr GatherProduct kF32 = simd::make_gather_f32<simd::Emulated<8>>();
}  // namespace

const GatherKernels kPortableGatherKernels = {"portable", &kF32, nullptr};

}  // namespace esparse

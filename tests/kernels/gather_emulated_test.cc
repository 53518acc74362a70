// Instances of the gather products for vectors this machine may not have.
#include "kernels/gather_emulated.h"

#include "kernels/simd/emulated.h"
#include "kernels/simd/gather_f32.h"
#include "kernels/simd/gather_pairs.h"

namespace esparse::testing_support {
namespace {

using Wide = simd::Emulated<16, true>;
constexpr GatherProduct kF32 = simd::make_gather_f32<Wide>();
constexpr PairProducts kPairProducts = simd::make_gather_pairs<Wide>();
constexpr GatherKernels kWide = {"emulated 16 lanes", &kF32, nullptr};
constexpr GatherKernels kPairs = {"emulated pairs", &kF32, &kPairProducts};

}  // namespace

std::vector<const GatherKernels*> emulated_gather_kernels() { return {&kWide, &kPairs}; }

}  // namespace esparse::testing_support

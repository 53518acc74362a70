// An instance of the gather product for vectors this machine may not have.
#include "kernels/gather_emulated.h"

#include "kernels/simd/emulated.h"
#include "kernels/simd/gather_f32.h"

namespace esparse::testing_support {
namespace {

constexpr GatherKernels kWide = {"emulated 16 lanes", simd::make_gather_f32<simd::Emulated<16>>()};

}  // namespace

const GatherKernels& emulated_gather_kernels() { return kWide; }

}  // namespace esparse::testing_support

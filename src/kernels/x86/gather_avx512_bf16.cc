// Gather products in AVX-512 with BF16: pairs for tiles of bf16 weights, f32 for the others.
#include "kernels/simd/avx512.h"
#include "kernels/simd/gather_pairs.h"

namespace esparse {
namespace {
constexpr PairProducts kPairs = simd::make_gather_pairs<simd::Avx512Bf16>();
}  // namespace

extern const GatherProduct kAvx512GatherF32;
extern const GatherKernels kAvx512Bf16GatherKernels;
const GatherKernels kAvx512Bf16GatherKernels = {"avx512_bf16", &kAvx512GatherF32, &kPairs};

}  // namespace esparse

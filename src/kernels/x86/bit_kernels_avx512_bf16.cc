#include "kernels/bit_kernels.h"
#include "kernels/simd/avx512.h"
#include "kernels/simd/few_bits.h"

namespace esparse {

extern const BitKernels kAvx512Bf16BitKernels;
const BitKernels kAvx512Bf16BitKernels = simd::make_bit_kernels<simd::Avx512Bf16>("avx512_bf16");

}  // namespace esparse

#include "kernels/bit_kernels.h"
#include "kernels/simd/avx512.h"
#include "kernels/simd/few_bits.h"

namespace esparse {

extern const BitKernels kAvx512BitKernels;
const BitKernels kAvx512BitKernels = simd::make_bit_kernels<simd::Avx512>("avx512");

}  // namespace esparse

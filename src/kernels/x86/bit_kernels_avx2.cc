#include "kernels/bit_kernels.h"
#include "kernels/simd/avx2.h"
#include "kernels/simd/few_bits.h"

namespace esparse {

extern const BitKernels kAvx2BitKernels;
const BitKernels kAvx2BitKernels = simd::make_bit_kernels<simd::Avx2>("avx2");

}  // namespace esparse

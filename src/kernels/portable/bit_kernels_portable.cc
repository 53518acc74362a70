#include "kernels/bit_kernels.h"
#include "kernels/simd/emulated.h"
#include "kernels/simd/few_bits.h"

namespace esparse {

const BitKernels kPortableBitKernels = simd::make_bit_kernels<simd::Emulated<8>>("portable");

}  // namespace esparse

#include "kernels/simd/avx512.h"
#include "kernels/simd/few_tiles.h"

namespace esparse {

extern const TileKernels kAvx512TileKernels;
const TileKernels kAvx512TileKernels = {"avx512", simd::multiply_tiles_f32<simd::Avx512>, nullptr, nullptr, nullptr};

}  // namespace esparse

#include "kernels/simd/avx2.h"
#include "kernels/simd/few_tiles.h"

namespace esparse {

extern const TileKernels kAvx2TileKernels;
const TileKernels kAvx2TileKernels = {"avx2", simd::multiply_tiles_f32<simd::Avx2>, nullptr, nullptr, nullptr};

}  // namespace esparse

#include "kernels/simd/few_tiles.h"
#include "kernels/simd/neon.h"

namespace esparse {

extern const TileKernels kNeonTileKernels;
const TileKernels kNeonTileKernels = {"neon", simd::multiply_tiles_f32<simd::Neon>, nullptr, nullptr, nullptr};

}  // namespace esparse

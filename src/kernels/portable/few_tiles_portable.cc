#include "kernels/simd/emulated.h"
#include "kernels/simd/few_tiles.h"

namespace esparse {

const TileKernels kPortableTileKernels = {"portable", simd::multiply_tiles_f32<simd::Emulated<8>>, nullptr, nullptr,
                                          nullptr};

}  // namespace esparse

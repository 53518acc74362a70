#include "kernels/simd/avx512.h"
#include "kernels/simd/few_tile_pairs.h"
#include "kernels/simd/tile_gemm.h"

namespace esparse {

extern const TileKernels kAvx512TileKernels, kAvx512Bf16TileKernels;
namespace {

using V = simd::Avx512Bf16;
constexpr TileGemmKernels kGemm = simd::make_tile_gemm_kernels<V>();

void multiply(const TilePiece& piece) {
  if (piece.dtype == DType::bf16) return simd::multiply_tile_pairs<V>(piece);
  kAvx512TileKernels.multiply(piece);
}

}  // namespace

const TileKernels kAvx512Bf16TileKernels = {"avx512_bf16", multiply, simd::round_tile_columns<V>,
                                            simd::expand_eights<V>, &kGemm};

}  // namespace esparse

// y = x W^T + b for many tokens and tiles of bf16, where the processor multiplies pairs of bf16: the rows of a tile are
// the lanes, a shuffle of bytes picks the pair of inputs that each row keeps, and only kept weights are multiplied.
#pragma once

#include <span>

#include "base/matrix.h"
#include "kernels/tile_kernels.h"

namespace esparse {

// The product for these tiles, or null: other types, or no such instruction.
const TileGemmKernel* tile_gemm_kernel(const TileKernels& kernels, const NmTilesView& weight);

// x [tokens, in_features] ROUNDED TO BF16, y [tokens, out_features], bias [out_features] or empty; at least one column.
// Any number of tokens; made for 9 and more. f32 accumulation, one chain of dot products of pairs for every output, in
// the order of the entries of the tiles: the bits of few_linear(), for every thread count and number of tokens. Scratch
// belongs to the threads and stays: 2 bytes for every input of up to 512 tokens with the caller, and half a MiB with
// every thread.
void tile_gemm(const TileGemmKernel& kernel, const NmTilesView& weight, MatrixView<const float> x,
               std::span<const float> bias, MatrixView<float> y);

}  // namespace esparse

// y = x W^T + b for many tokens and a sparse W: only the kept weights are multiplied. CPUs have no sparse matrix units
// and a masked lane costs as much as a full one, so the tokens are the lanes: a kept weight is broadcast and multiplied
// with its column for a whole block of tokens.
#pragma once

#include <span>

#include "base/matrix.h"
#include "kernels/gather_kernels.h"
#include "sparse/bit_rows.h"
#include "sparse/nm_tiles.h"

namespace esparse {

// x [tokens, in_features], y [tokens, out_features], bias [out_features] or empty; y must not overlap x. Any number of
// tokens; made for 9 and more. Scratch belongs to the threads and stays: up to 1.5 KiB for every input channel with the
// caller, and 0.5 MiB with every thread.
// f32 accumulation: every output is one chain of multiply-adds over the kept columns, ascending, then the bias; same
// bits for every thread count and for a token whatever others come with it. Tiles of bf16 on a processor with
// AVX-512 BF16 go another way (kernels/tile_gemm.h): there the activations are rounded to bf16.
void sparse_gemm(const BitRowsView& weight, MatrixView<const float> x, std::span<const float> bias,
                 MatrixView<float> y);
void sparse_gemm(const NmTilesView& weight, MatrixView<const float> x, std::span<const float> bias,
                 MatrixView<float> y);

// Whether there is a product for these tiles: always for 2:4, with pairs of bf16 for N:8.
bool has_sparse_gemm(const NmTilesView& weight);

// The same with given kernels and lists (of 2:4 tiles and rows), for tests and benchmarks.
void sparse_gemm_with(const GatherKernels& kernels, const BitRowsView& weight, MatrixView<const float> x,
                      std::span<const float> bias, MatrixView<float> y);
void sparse_gemm_with(const GatherKernels& kernels, const NmTilesView& weight, MatrixView<const float> x,
                      std::span<const float> bias, MatrixView<float> y);

}  // namespace esparse

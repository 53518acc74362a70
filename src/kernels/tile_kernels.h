// The inner loops over 2:4 tiles (sparse/nm_tiles.h) for a few tokens; kernels/isa.h chooses one table. few_tiles.cc
// cuts a weight into the pieces they work on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/matrix.h"
#include "kernels/isa.h"
#include "sparse/nm_tiles.h"

namespace esparse {

// Up to four row blocks of a weight times up to sixteen tokens. A plain struct: kernels compiled for one instruction
// set call nothing that another file may have compiled too.
struct TilePiece {
  static constexpr int64_t kMaxBlocks = 8;
  static constexpr int64_t kRows = kMaxBlocks * NmTilesView::kRows;
  static constexpr int64_t kMaxTokens = 16;

  DType dtype = DType::f32;
  const std::byte* tiles = nullptr;  // the first row block, 64-byte aligned
  int64_t blocks = 0;
  int64_t tiles_per_block = 0;
  // [tiles_per_block][tokens][32], zeros beyond in_features, at least 16-byte aligned: f32, or bf16 where
  // TileKernels::round_columns is set and the weights are bf16. In this order all that one tile meets is one run of
  // memory: rows of x themselves often lie a multiple of 4 KiB apart, and eight of them fill a set of the L1 cache.
  const std::byte* x = nullptr;
  int64_t tokens = 0;
  float* sums = nullptr;  // [tokens][kRows]: row r of the piece times token t; rows of padding too
};

struct TileKernels {
  const char* isa;

  // Sums one product after another in ascending column, so a token's bits do not depend on its neighbours. Rounded
  // inputs: ascending pairs of columns.
  void (*multiply)(const TilePiece& piece);
  // Not null where bf16 weights are multiplied in pairs (simd/few_tile_pairs.h), which takes x rounded to bf16, nearest
  // even: the result is then off by up to 2^-8 of sum |w x| besides the rounding of the sum. Rounds 32 columns of x.
  void (*round_columns)(const float* x, std::byte* target);
};

extern const TileKernels kPortableTileKernels;

template <>
std::span<const TableEntry<TileKernels>> all_tables<TileKernels>();

// few_linear() of kernels/few.h with a table of the caller's choice.
void few_tiles(const TileKernels& kernels, const NmTilesView& weight, MatrixView<const float> x,
               std::span<const float> bias, MatrixView<float> y);

}  // namespace esparse

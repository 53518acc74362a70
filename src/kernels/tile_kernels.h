// The inner loops over tiles (sparse/nm_tiles.h) for a few tokens; kernels/isa.h chooses one table. few_tiles.cc
// cuts a weight into the pieces they work on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/matrix.h"
#include "kernels/isa.h"
#include "sparse/nm_tiles.h"

namespace esparse {

// Up to eight row blocks of a weight times up to sixteen tokens. A plain struct: kernels compiled for one instruction
// set call nothing that another file may have compiled too.
struct TilePiece {
  static constexpr int64_t kMaxBlocks = 8;
  static constexpr int64_t kRows = kMaxBlocks * NmTilesView::kRows;
  static constexpr int64_t kMaxTokens = 16;

  DType dtype = DType::f32;
  int eights_kept = 0;               // N of N:8, 0 for 2:4
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

// One chunk of tokens and `count` tiles that stand one after another in a row block (kernels/tile_gemm.h).
struct TileRun {
  const std::byte* tiles = nullptr;
  int64_t count = 0;
  const std::byte* controls = nullptr;  // of these tiles, 64-byte aligned
  const std::byte* x = nullptr;         // packed, 64-byte aligned
  int64_t tokens = 0;                   // up to max_tokens, a multiple of token_step
  bool first = false;                   // set the sums, else add to them
  float* sums = nullptr;                // [tokens][16], 64-byte aligned
};

// Many tokens, bf16 tiles of one pattern, x rounded to bf16.
struct TileGemmKernel {
  int64_t max_tokens, token_step;  // of a chunk
  int64_t entries;                 // of a tile

  // x [tokens, columns] as bf16 in the order that multiply() reads, for a chunk of `chunk` tokens and a run of
  // `block_columns` columns: chunk * block_columns * 2 bytes. What is missing becomes zero.
  void (*pack)(const float* x, int64_t x_stride, int64_t tokens, int64_t columns, int64_t block_columns, int64_t chunk,
               std::byte* packed);
  // 64 bytes for every entry of `count` tiles: which inputs each row picks.
  void (*control)(const std::byte* tiles, int64_t count, std::byte* controls);
  void (*multiply)(const TileRun& run);
};

struct TileGemmKernels {
  TileGemmKernel of_2_4, of_2_8, of_4_8, of_6_8;
};

struct TileKernels {
  const char* isa;

  // Sums one product after another in ascending column, so a token's bits do not depend on its neighbours. Rounded
  // inputs: ascending pairs of columns.
  void (*multiply)(const TilePiece& piece);
  // Not null where bf16 weights are multiplied in pairs (simd/few_tile_pairs.h), which takes x rounded to bf16, nearest
  // even: the result is then off by up to 2^-8 of sum |w x| besides the rounding of the sum. Rounds 32 columns of x.
  // Tables that have it take tiles of N:8 too.
  void (*round_columns)(const float* x, std::byte* target);
  // The sixteen rows of one tile of N:8 as bf16: row r at target + r * row_bytes, 32 columns. Null without
  // round_columns.
  void (*expand_eights)(int kept, const std::byte* tile, std::byte* target, int64_t row_bytes);
  // Null without round_columns.
  const TileGemmKernels* gemm;
};

// Rows [first, first + count) of tiles of N:8 into target [count, in_features] bf16; `table` has expand_eights.
void expand_tiles_bf16(const TileKernels& table, const NmTilesView& weight, int64_t first, int64_t count,
                       std::byte* target);

extern const TileKernels kPortableTileKernels;

template <>
std::span<const TableEntry<TileKernels>> all_tables<TileKernels>();

// few_linear() of kernels/few.h with a table of the caller's choice.
void few_tiles(const TileKernels& kernels, const NmTilesView& weight, MatrixView<const float> x,
               std::span<const float> bias, MatrixView<float> y);

}  // namespace esparse

// N:M weights as they stand in memory while a model runs: rows are the lanes of a vector. One layout serves one token
// and many. Made from the packed form of a checkpoint at load; nothing on disk looks like this.
// Byte-level description: docs/formats/tiles.md.
//
// A tile is 16 rows x 32 columns; tiles follow each other along a row block, row blocks along the output. Two kinds:
//
// 2:4, any type
//   index    u32 [16]        row r, bits 4g .. 4g + 3: the two kept columns of group g (0 ... 7), i0 | i1 << 2, i0 < i1
//   values   [8][16] pairs   for every group g and row r the two kept values, as
//     bf16   one u32: the value of i0 in the low half, of i1 in the high half
//     f16    [8][2][16]: the sixteen values of i0, then the sixteen of i1
//     f32    the same
// so 9 bits per weight for 16-bit types, and everything a kernel reads is one stream. Rows beyond out_features and
// groups beyond in_features keep +0.0 twice, at the columns 0 and 1. A last group of one or two columns keeps one
// value; its second is +0.0 at column 3, which is beyond in_features.
//
// N:8 with N = 2, 4, 6, bf16 (sparse/eight_patterns.h): every N:2, N:4 and N:8 that is one of those over eight columns
//   index    u8 [4][4][4]    [row / 4][group][row % 4]: the number of the pattern of group g (0 ... 3) of the row
//   values   [4][N / 2][16]  for every group and row the kept values, two a u32, ascending column, low half first
// A group that is not whole is filled up with +0.0 at columns beyond in_features.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/large_bytes.h"
#include "base/matrix.h"
#include "sparse/nm_matrix.h"

namespace esparse {

struct NmTilesView {
  static constexpr int64_t kRows = 16, kColumns = 32, kIndexBytes = 64;
  static constexpr int64_t kGroup = 4, kKept = 2, kGroups = kColumns / kGroup;  // of 2:4
  static constexpr int64_t kEights = kColumns / 8;                              // groups of N:8

  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  const std::byte* tiles = nullptr;  // 64-byte aligned
  NmPattern pattern{2, 4};           // 2:4 or N:8, whatever the packed form calls it

  bool of_eights() const { return pattern.group == 8; }
  // Pairs of kept weights of one row in a tile.
  int64_t entries() const { return kColumns * pattern.kept / pattern.group / 2; }
  int64_t tile_bytes() const { return kIndexBytes + entries() * 2 * kRows * dtype_bytes(dtype); }
  int64_t row_blocks() const { return (out_features + kRows - 1) / kRows; }
  int64_t tiles_per_block() const { return (in_features + kColumns - 1) / kColumns; }
  const std::byte* tile(int64_t row_block, int64_t column_tile) const {
    return tiles + (row_block * tiles_per_block() + column_tile) * tile_bytes();
  }
  int64_t bytes() const { return row_blocks() * tiles_per_block() * tile_bytes(); }
};

// Owns the memory; views stay valid when it is moved.
struct NmTiles {
  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  NmPattern pattern;
  LargeBytes storage;
  NmTilesView view() const;
};

// Whether `packed` can stand in tiles and is worth it: 2:4, or N:8 of bf16, and padding adds at most 1/16.
bool fits_tiles(const NmView& packed);
// Rearranges a validated matrix of any shape and such a pattern, on all threads. Each page is first touched by the
// thread that fills it: at the speed of memory for 16-bit types.
NmTiles make_nm_tiles(const NmView& packed);
// Rows [first, first + count) as f32 into target [count, in_features]; cheapest for whole row blocks. One thread.
void nm_tiles_rows_f32(const NmTilesView& tiles, int64_t first, int64_t count, MatrixView<float> target);

}  // namespace esparse

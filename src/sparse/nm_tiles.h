// 2:4 weights as they stand in memory while a model runs: rows are the lanes of a vector. One layout serves one token
// and many. Made from the packed form of a checkpoint at load; nothing on disk looks like this.
// Byte-level description: docs/formats/tiles.md.
//
// A tile is 16 rows x 32 columns; tiles follow each other along a row block, row blocks along the output:
//   index    u32 [16]        row r, bits 4g .. 4g + 3: the two kept columns of group g (0 ... 7), i0 | i1 << 2, i0 < i1
//   values   [8][16] pairs   for every group g and row r the two kept values, as
//     bf16   one u32: the value of i0 in the low half, of i1 in the high half
//     f16    [8][2][16]: the sixteen values of i0, then the sixteen of i1
//     f32    the same
// so 9 bits per weight for 16-bit types, and everything a kernel reads is one stream. Rows beyond out_features and
// groups beyond in_features keep +0.0 twice, at the columns 0 and 1. A last group of one or two columns keeps one
// value; its second is +0.0 at column 3, which is beyond in_features.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/dtype.h"
#include "base/matrix.h"
#include "sparse/nm_matrix.h"

namespace esparse {

struct NmTilesView {
  static constexpr int64_t kRows = 16, kColumns = 32, kGroup = 4, kKept = 2;
  static constexpr int64_t kGroups = kColumns / kGroup;

  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  const std::byte* tiles = nullptr;  // 64-byte aligned

  int64_t index_bytes() const { return kRows * 4; }
  int64_t group_bytes() const { return kRows * kKept * dtype_bytes(dtype); }
  int64_t tile_bytes() const { return index_bytes() + kGroups * group_bytes(); }
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
  std::unique_ptr<std::byte[]> storage;  // with room to align
  NmTilesView view() const;
};

// Whether `packed` can stand in tiles and is worth it: 2:4, and padding adds at most 1/16.
bool fits_tiles(const NmView& packed);
// Rearranges a validated 2:4 matrix of any shape, on all threads. Each page is first touched by the thread that fills
// it: at the speed of memory for 16-bit types.
NmTiles make_nm_tiles(const NmView& packed);
// Rows [first, first + count) as f32 into target [count, in_features]; cheapest for whole row blocks. One thread.
void nm_tiles_rows_f32(const NmTilesView& tiles, int64_t first, int64_t count, MatrixView<float> target);

}  // namespace esparse

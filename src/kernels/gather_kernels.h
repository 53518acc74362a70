// The inner loops of sparse_gemm.h. Tokens are the lanes: a panel holds the activations of one block of columns and one
// block of tokens transposed, a slot of `vectors` vectors for each column; a row is a list of (weight word, offset of
// its slot) and one entry costs one broadcast and `vectors` multiply-adds with a memory operand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "kernels/isa.h"

namespace esparse {

// Rows of one piece of work in one block of columns, as lists. Row r has `counts[r]` entries; entry e of row r stands
// at
//   tiled       (r / 16 * row_step + e) * 32 + r % 16    sixteen words, then sixteen offsets
//   otherwise   r * 2 * row_step + e                     row_step words, then row_step offsets
// in both arrays (interleaved so, they never compete for the same lines of the cache). Entries that fill up to the
// longest list among neighbours hold the weight +0.0 and the offset of a slot of zeros.
struct GatherLists {
  GatherLists(uint32_t* storage, int32_t* counts_in, int64_t row_step_in, bool tiled_in)
      : words(storage),
        offsets(storage + (tiled_in ? 16 : row_step_in)),
        counts(counts_in),
        row_step(row_step_in),
        tiled(tiled_in) {}
  uint32_t* words;    // f32
  uint32_t* offsets;  // bytes from the start of the panel
  int32_t* counts;
  int64_t row_step;
  bool tiled;

  int64_t row_start(int64_t row) const { return tiled ? row / 16 * row_step * 32 + row % 16 : row * 2 * row_step; }
};

// The activations of one block of columns and tokens, and those that come next, to be fetched meanwhile.
struct GatherPanel {
  const std::byte* data;
  const std::byte* next;
  int64_t bytes;
};

// Rows with one bit a column, in one block of columns.
struct GatherRows {
  DType dtype;
  int64_t rows;
  const std::byte* values;  // of the whole weight
  int64_t* next;            // [rows] the first kept weight of the block; moved on to that of the next block
  const int64_t* ends;      // [rows] behind the last kept weight of the row: nothing further is read
  const uint8_t* mask;      // of the first row
  int64_t mask_stride;      // bytes from row to row
  int64_t mask_bytes;
};

struct GatherProduct {
  int64_t lanes;            // f32 in a vector
  int64_t max_vectors;      // in a slot
  int64_t max_blocks;       // of tokens that share one making of lists
  int64_t cache_bytes;      // for one panel and the lists in use
  int64_t list_bytes;       // of these lists, for one column
  int64_t max_columns;      // of a block
  int64_t row_tile;         // rows of one piece of work: a multiple of row_group, of 16 and of lanes
  int64_t narrow_row_tile;  // the same where there are few rows
  int64_t row_group;        // rows that may be multiplied together
  int64_t tile_entries;     // of one row of a tile

  int64_t slot_bytes(int64_t vectors) const { return vectors * lanes * 4; }

  // x [tokens, columns] to a panel for `block_columns` columns; what is missing becomes zero, and so is the slot behind
  // the last column.
  void (*pack)(const float* x, int64_t x_stride, int64_t tokens, int64_t columns, int64_t block_columns,
               int64_t vectors, std::byte* panel);
  // The lists of the sixteen rows of `tiles` tiles that stand one after another (sparse/nm_tiles.h).
  void (*list_tiles)(DType dtype, const std::byte* tiles, int64_t count, int64_t slot_bytes, uint32_t* words,
                     uint32_t* offsets);
  // The lists of rows, with their counts, filled up within each row_group. May write kListSlack entries more.
  void (*list_bits)(const GatherRows& source, int64_t slot_bytes, int64_t zero_slot, const GatherLists& lists);
  // sums [rows][vectors * lanes] = or += the products, rows rounded up to row_group; `vectors` may be fewer than a slot
  // of the panel has. Every sum is one chain of multiply-adds in the order of the list, so that no blocking shows in
  // the bits.
  void (*multiply)(const GatherLists& lists, int64_t rows, const GatherPanel& panel, int64_t vectors, bool first,
                   float* sums);
  // y [tokens, rows] = sums transposed + bias (or null).
  void (*store)(const float* sums, int64_t sums_stride, int64_t rows, int64_t tokens, const float* bias, float* y,
                int64_t y_stride);
};
inline constexpr int64_t kListSlack = 16;

struct GatherKernels {
  const char* isa;
  GatherProduct product;  // every type of weight, f32 multiply-adds
};

extern const GatherKernels kPortableGatherKernels;

template <>
std::span<const TableEntry<GatherKernels>> all_tables<GatherKernels>();

}  // namespace esparse

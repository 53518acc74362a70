// What linears need beside their products: other forms of a weight, and the bias.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// Rows of kept 16-bit values and one bit per column, as in sparse/bit_rows.h: row r has the values from row_offsets[r],
// or from r * kept_per_row where that is null.
struct BitRows {
  const uint16_t* values;
  const uint8_t* bitmask;  // [rows, ceil(columns / 8)]
  const int64_t* row_offsets;
  int64_t kept_per_row;
  int64_t rows, columns;
};

// 2:4 or 1:2 rows of bits -> GPU tiles (tile_layout.h). Where in_features is no multiple of 4, the missing columns of
// the last group keep zeros.
struct MakeTilesArgs {
  BitRows source;
  uint8_t* tiles;
};

// Rows [first_row, first_row + rows) as a dense matrix of 16-bit elements, row i at target + i * stride.
struct ExpandTilesArgs {
  const uint8_t* tiles;
  int64_t columns;
  int64_t first_row, rows;  // first_row a multiple of 16
  uint16_t* target;
  int64_t stride;
};
struct ExpandBitsArgs {
  BitRows source;
  int64_t first_row, rows;
  uint16_t* target;
  int64_t stride;
};

// y[t][o] = bias[o], or += where `add`; rows of y lie `stride` elements apart.
struct BiasArgs {
  const float* bias;
  void* y;
  int64_t stride;
  int64_t tokens, width;
  Element type;  // of y
  bool add;
};

// y[t][o] = source[t][o] + bias[o], or += where `add`.
struct AddRowsArgs {
  const void* source;  // of type source_type, rows source_stride elements apart
  int64_t source_stride;
  Element source_type;
  const float* bias;  // or null
  void* y;
  int64_t stride;
  Element type;  // of y: f32, or source_type
  bool add;
  int64_t tokens, width;
};

struct LinearPartsKernels {
  LaunchCode (*make_tiles)(const MakeTilesArgs& args, Stream stream);
  LaunchCode (*expand_tiles)(const ExpandTilesArgs& args, Stream stream);
  LaunchCode (*expand_bits)(const ExpandBitsArgs& args, Stream stream);
  LaunchCode (*bias)(const BiasArgs& args, Stream stream);
  LaunchCode (*add_rows)(const AddRowsArgs& args, Stream stream);
};

}  // namespace esparse::cuda

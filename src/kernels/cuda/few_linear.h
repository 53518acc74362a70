// y = x W^T for up to 64 tokens, bound by reading W once: 2:4 weights in GPU tiles (tile_layout.h), dense weights row
// by row, and both at once for Spense. Tensor cores, sums in f32; needs compute capability 8.0.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// How a block of threads is cut. A warp has `row_blocks` x 16 rows and all tokens; `row_warps` stand below each other,
// `column_warps` share the columns of the same rows and add their sums at the end. x passes through shared memory in
// stages of `column_warps` panels, two at a time.
struct FewConfig {
  int token_tiles;  // of 8 tokens
  int row_blocks, row_warps, column_warps;

  constexpr int tokens() const { return 8 * token_tiles; }
  constexpr int rows() const { return 16 * row_blocks * row_warps; }
  constexpr int threads() const { return 32 * row_warps * column_warps; }
  constexpr int sparse_stage_columns() const { return 256 * column_warps; }
  constexpr int dense_stage_columns() const { return 128 * column_warps; }
};
// Two for each number of token tiles: more rows a block read x less often, fewer give more blocks. A block reads
// rows * columns * 9/8 bytes of 2:4 weights and tokens * columns * 2 bytes of x.
inline constexpr FewConfig kFewConfigs[] = {{1, 1, 1, 8}, {1, 1, 4, 2}, {2, 1, 2, 4}, {2, 1, 8, 1},
                                            {4, 1, 4, 2}, {4, 1, 8, 1}, {8, 2, 4, 1}, {8, 2, 8, 1}};
inline constexpr int kFewTokens = 64;
// The first of the two for so many tokens.
constexpr int few_config(int64_t tokens) { return tokens <= 8 ? 0 : tokens <= 16 ? 2 : tokens <= 32 ? 4 : 6; }

// A region without rows is not there. `stacked`: the rows of the dense region follow those of the 2:4 region and both
// see all of x; otherwise both have the same rows, and the dense region's columns follow.
struct FewArgs {
  const uint8_t* tiles;
  int sparse_rows, sparse_columns;
  const void* dense;  // rows start at multiples of 16 bytes
  int64_t dense_stride;
  int dense_rows, dense_columns;
  bool stacked;
  const void* x;
  int64_t x_stride;
  int tokens;
  const float* bias;  // or null
  void* y;
  int64_t y_stride;
  Element type, y_type;  // of x and W; of y
  bool add;
  bool early;          // compute capability 9.0: weights are fetched while the kernel before ends
  int config;          // of kFewConfigs, with room for the tokens
  int splits;          // blocks that share the columns of the same rows
  float* partials;     // [blocks, splits, tokens, rows of a block] where splits > 1
  uint32_t* counters;  // [blocks], zero before and after, where splits > 1
};

// Blocks of rows: grid.x.
constexpr int64_t few_blocks(const FewArgs& args) {
  const int rows = kFewConfigs[args.config].rows();
  const int64_t sparse = (args.sparse_rows + rows - 1) / rows, dense = (args.dense_rows + rows - 1) / rows;
  return args.stacked ? sparse + dense : sparse > dense ? sparse : dense;
}
// The most splits that leave each block a stage.
constexpr int few_stages(const FewArgs& args) {
  const FewConfig config = kFewConfigs[args.config];
  const int sparse = args.sparse_rows == 0 ? 0 : (args.sparse_columns - 1) / config.sparse_stage_columns() + 1;
  const int dense = args.dense_rows == 0 ? 0 : (args.dense_columns - 1) / config.dense_stage_columns() + 1;
  if (!args.stacked) return sparse + dense;
  return sparse == 0 ? dense : dense == 0 || sparse < dense ? sparse : dense;
}

struct FewLinearKernels {
  LaunchCode (*few)(const FewArgs& args, Stream stream);
};

}  // namespace esparse::cuda

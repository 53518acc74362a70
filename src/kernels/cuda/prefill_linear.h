// y = x W^T for many tokens and 2:4 weights in GPU tiles (tile_layout.h), by mma.sp: two columns' work in one. Needs
// compute capability 8.0.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// What a block of threads computes. The larger one reads less per product; the smaller one is for few blocks.
struct PrefillConfig {
  int row_blocks, row_warps, token_warps;  // a warp has row_blocks * 16 rows and 64 tokens

  constexpr int rows() const { return 16 * row_blocks * row_warps; }
  constexpr int tokens() const { return 64 * token_warps; }
  constexpr int threads() const { return 32 * row_warps * token_warps; }
};
inline constexpr PrefillConfig kPrefillConfigs[] = {{4, 4, 2}, {2, 4, 1}};

struct PrefillArgs {
  const uint8_t* tiles;
  int rows, columns;
  const void* x;
  int64_t x_stride;
  int tokens;
  const float* bias;  // or null
  void* y;
  int64_t y_stride;
  Element type, y_type;  // of x and W; of y
  bool add;              // y of 16 bits can be added to as well, which rounds it twice
  int config;            // of kPrefillConfigs
};

constexpr int64_t prefill_blocks(const PrefillConfig& config, int64_t rows, int64_t tokens) {
  return ((rows + config.rows() - 1) / config.rows()) * ((tokens + config.tokens() - 1) / config.tokens());
}

struct PrefillLinearKernels {
  LaunchCode (*sparse)(const PrefillArgs& args, Stream stream);
};

}  // namespace esparse::cuda

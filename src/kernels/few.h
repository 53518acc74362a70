// y = x W^T + b for a few tokens: every weight is read once and multiplied with all of them, so the time is that of
// reading W as long as the tokens are few enough. One overload per form of weight.
#pragma once

#include <span>

#include "base/matrix.h"
#include "kernels/weight.h"
#include "sparse/bit_rows.h"
#include "sparse/nm_tiles.h"

namespace esparse {

// x [tokens, in_features], y [tokens, out_features], bias [out_features] or empty. Any number of tokens; beyond
// kMaxFewTokens the weight is read again for every kMaxFewTokens of them. f32 accumulation; same bits for every thread
// count, and for every number of tokens.
inline constexpr int64_t kMaxFewTokens = 16;
void few_linear(const DenseView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y);
void few_linear(const BitRowsView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y);
void few_linear(const NmTilesView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y);

// Whether this weight had better stand in tiles on this processor: 2:4 everywhere, N:8 where pairs of bf16 are
// multiplied.
bool runs_in_tiles(const NmView& packed);

}  // namespace esparse

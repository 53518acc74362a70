#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/few.h"
#include "kernels/scratch.h"
#include "kernels/tile_kernels.h"

namespace esparse {
namespace {

constexpr int64_t kColumns = NmTilesView::kColumns;

// Tile `tile` of all tokens, in the order of TilePiece::x.
void pack_tile(const TileKernels& kernels, bool rounded, MatrixView<const float> x, int64_t tile, std::byte* target) {
  const int64_t first = tile * kColumns, columns = std::min(kColumns, x.cols - first);
  for (int64_t token = 0; token < x.rows; ++token) {
    float padded[kColumns] = {};  // x is read up to its end only
    const float* source = x.row(token).data() + first;
    if (columns < kColumns) {
      std::copy_n(source, columns, padded);
      source = padded;
    }
    if (rounded) {
      kernels.round_columns(source, target + token * kColumns * 2);
    } else {
      std::memcpy(target + token * kColumns * 4, source, kColumns * sizeof(float));
    }
  }
}

// The row blocks of a piece: fewer where eight would leave threads without work (k and v of grouped attention). Four
// are read at once.
int64_t blocks_of_piece(int64_t row_blocks) { return row_blocks >= 256 ? TilePiece::kMaxBlocks : 4; }

// At most TilePiece::kMaxTokens tokens.
void few_tokens(const TileKernels& kernels, const NmTilesView& weight, MatrixView<const float> x,
                std::span<const float> bias, MatrixView<float> y) {
  static thread_local Scratch scratch;  // of the calling thread; the others read it
  const int eights_kept = weight.of_eights() ? weight.pattern.kept : 0;
  ESPARSE_CHECK(eights_kept == 0 || kernels.round_columns != nullptr);
  const bool rounded = kernels.round_columns != nullptr && weight.dtype == DType::bf16;
  const int64_t tile_bytes = x.rows * kColumns * (rounded ? 2 : 4), tiles = weight.tiles_per_block();
  const bool ready = x.rows == 1 && !rounded && x.cols % kColumns == 0;  // one token stands as the kernels want it
  std::byte* target = ready ? nullptr : scratch.grow(tiles * tile_bytes);
  const std::byte* packed_x = ready ? reinterpret_cast<const std::byte*>(x.data) : target;
  if (!ready)
    parallel_for_sized(tiles, x.rows * x.cols,
                       [&](int64_t tile, int) { pack_tile(kernels, rounded, x, tile, target + tile * tile_bytes); });

  const int64_t blocks = blocks_of_piece(weight.row_blocks());
  parallel_for_sized(ceil_div(weight.row_blocks(), blocks), x.rows * x.cols * y.cols, [&](int64_t index, int) {
    float sums[TilePiece::kMaxTokens * TilePiece::kRows];
    const int64_t block = index * blocks, count = std::min(blocks, weight.row_blocks() - block);
    kernels.multiply({weight.dtype, eights_kept, weight.tile(block, 0), count, tiles, packed_x, x.rows, sums});
    const int64_t first = block * NmTilesView::kRows, rows = std::min(count * NmTilesView::kRows, y.cols - first);
    for (int64_t token = 0; token < x.rows; ++token)
      for (int64_t row = 0; row < rows; ++row)
        y(token, first + row) = sums[token * TilePiece::kRows + row] + (bias.empty() ? 0.0f : bias[first + row]);
  });
}

}  // namespace

void few_tiles(const TileKernels& kernels, const NmTilesView& weight, MatrixView<const float> x,
               std::span<const float> bias, MatrixView<float> y) {
  for (int64_t first = 0; first < x.rows; first += TilePiece::kMaxTokens) {
    const int64_t tokens = std::min(TilePiece::kMaxTokens, x.rows - first);
    few_tokens(kernels, weight, x.rows_from(first, tokens), bias, y.rows_from(first, tokens));
  }
}

void expand_tiles_bf16(const TileKernels& table, const NmTilesView& weight, int64_t first, int64_t count,
                       std::byte* target) {
  constexpr int64_t kRows = NmTilesView::kRows;
  const int64_t row_bytes = weight.in_features * 2, last = first + count;
  for (int64_t block = first / kRows; block * kRows < last; ++block) {
    const int64_t from = std::max(first, block * kRows), rows = std::min(last, (block + 1) * kRows) - from;
    for (int64_t tile = 0; tile < weight.tiles_per_block(); ++tile) {
      const int64_t columns = std::min(kColumns, weight.in_features - tile * kColumns);
      std::byte* place = target + (from - first) * row_bytes + tile * kColumns * 2;
      if (rows == kRows && columns == kColumns) {
        table.expand_eights(weight.pattern.kept, weight.tile(block, tile), place, row_bytes);
        continue;
      }
      std::byte whole[kRows * kColumns * 2];
      table.expand_eights(weight.pattern.kept, weight.tile(block, tile), whole, kColumns * 2);
      for (int64_t row = 0; row < rows; ++row)
        std::memcpy(place + row * row_bytes, whole + (from % kRows + row) * kColumns * 2,
                    static_cast<size_t>(columns * 2));
    }
  }
}

bool runs_in_tiles(const NmView& packed) {
  return fits_tiles(packed) && (packed.pattern == NmPattern{2, 4} || kernels<TileKernels>().round_columns != nullptr);
}

void few_linear(const NmTilesView& weight, MatrixView<const float> x, std::span<const float> bias,
                MatrixView<float> y) {
  static_assert(kMaxFewTokens == TilePiece::kMaxTokens);
  few_tiles(kernels<TileKernels>(), weight, x, bias, y);
}

}  // namespace esparse

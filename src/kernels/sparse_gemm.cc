#include "kernels/sparse_gemm.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/scratch.h"
#include "kernels/tile_gemm.h"

namespace esparse {
namespace {

constexpr int64_t kMaxRowTile = 128;  // of all products

// How the product is cut. It may depend on the number of threads, because no cut shows in the bits.
struct Cut {
  int64_t vectors;       // in a slot: lanes * vectors tokens in a block
  int64_t chunk_tokens;  // tokens that are packed at once, several blocks
  int64_t columns;       // of a block
  int64_t column_blocks;
  int64_t row_tile;
  int64_t blocks_per_piece;  // of tokens

  Cut(const GatherProduct& product, int64_t tokens, int64_t out_features, int64_t in_features) {
    const int64_t chunks = ceil_div(tokens, product.max_blocks * product.max_vectors * product.lanes);
    const int64_t per_chunk = ceil_div(ceil_div(tokens, chunks), product.lanes);  // vectors
    vectors = ceil_div(per_chunk, ceil_div(per_chunk, product.max_vectors));
    chunk_tokens = per_chunk * product.lanes;
    const int64_t column_bytes = product.slot_bytes(vectors) + product.list_bytes;
    columns = std::clamp(product.cache_bytes / column_bytes / kColumnStep * kColumnStep, kColumnStep,
                         std::min(product.max_columns, ceil_div(in_features, kColumnStep) * kColumnStep));
    column_blocks = ceil_div(in_features, columns);
    // Blocks of tokens share the lists of a piece, and its rows share the panels, but every core wants work.
    const int64_t pieces = 4 * thread_count();
    row_tile = out_features >= pieces * product.row_tile ? product.row_tile : product.narrow_row_tile;
    const int64_t row_tiles = ceil_div(out_features, row_tile), blocks = ceil_div(per_chunk, vectors);
    blocks_per_piece = std::clamp<int64_t>(blocks * row_tiles / pieces, 1, blocks);
  }

 private:
  static constexpr int64_t kColumnStep = NmTilesView::kColumns;
};

// A block of columns of one piece of work.
struct Part {
  int64_t first_row, rows;
  int64_t column, columns;
  int64_t slot_bytes;
};

// The lists of sixteen rows at a time; rows that only fill up a group keep nothing.
class TileLists {
 public:
  static constexpr bool kTiled = true;
  TileLists(const NmTilesView& weight, int64_t, int64_t) : weight_(weight) {}

  void make(const GatherProduct& product, const Part& part, const GatherLists& lists) {
    const int64_t tile = part.column / NmTilesView::kColumns;
    const int64_t tiles = std::min(part.columns / NmTilesView::kColumns, weight_.tiles_per_block() - tile);
    const int64_t entries = tiles * product.tile_entries;
    const int64_t rows = ceil_div(part.rows, product.row_group) * product.row_group;
    for (int64_t row = 0; row < rows; row += NmTilesView::kRows) {
      uint32_t *words = lists.words + lists.row_start(row), *offsets = lists.offsets + lists.row_start(row);
      const int64_t block = (part.first_row + row) / NmTilesView::kRows;
      if (block < weight_.row_blocks()) {
        product.list_tiles(weight_.dtype, weight_.tile(block, tile), tiles, part.slot_bytes, words, offsets);
      } else {
        std::fill_n(words, entries * NmTilesView::kRows * 2, 0);
      }
    }
    std::fill_n(lists.counts, rows, static_cast<int32_t>(entries));
  }

 private:
  const NmTilesView& weight_;
};

// The list of one row after the other; remembers how far each has come. Blocks of columns come in ascending order.
class BitLists {
 public:
  static constexpr bool kTiled = false;
  BitLists(const BitRowsView& weight, int64_t first_row, int64_t rows) : weight_(weight) {
    for (int64_t row = 0; row < rows; ++row) {
      next_[row] = weight.row_offset(first_row + row);
      ends_[row] = weight.row_offset(first_row + row + 1);
    }
  }

  void make(const GatherProduct& product, const Part& part, const GatherLists& lists) {
    const int64_t first_byte = part.column / 8;
    const int64_t mask_bytes = std::min(part.columns / 8, weight_.bitmask_row_bytes() - first_byte);
    product.list_bits({weight_.dtype, part.rows, weight_.values, next_, ends_,
                       weight_.row_bits(part.first_row) + first_byte, weight_.bitmask_row_bytes(), mask_bytes},
                      part.slot_bytes, part.columns, lists);
  }

 private:
  const BitRowsView& weight_;
  int64_t next_[kMaxRowTile], ends_[kMaxRowTile];
};

// One product of activations that stand in panels already: [column block][token block].
template <typename Lists, typename View>
class Gemm {
 public:
  Gemm(const GatherProduct& product, const View& weight, MatrixView<const float> x, std::span<const float> bias,
       MatrixView<float> y)
      : product_(product),
        weight_(weight),
        x_(x),
        bias_(bias),
        y_(y),
        cut_(product, x.rows, weight.out_features, weight.in_features),
        slot_bytes_(product.slot_bytes(cut_.vectors)),
        panel_bytes_((cut_.columns + 1) * slot_bytes_) {}

  void run() {
    static thread_local Scratch scratch;
    for (int64_t token = 0; token < x_.rows; token += cut_.chunk_tokens) {
      first_token_ = token;
      tokens_ = std::min(cut_.chunk_tokens, x_.rows - token);
      blocks_ = ceil_div(tokens_, block_tokens());
      panels_ = scratch.grow(cut_.column_blocks * blocks_ * panel_bytes_);
      const int64_t row_tiles = ceil_div(weight_.out_features, cut_.row_tile);
      const int64_t token_pieces = ceil_div(blocks_, cut_.blocks_per_piece);
      const int64_t work = tokens_ * x_.cols * y_.cols;
      parallel_for_sized(cut_.column_blocks * blocks_, work, [&](int64_t piece, int) { pack(piece); });
      parallel_for_sized(row_tiles * token_pieces, work, [&](int64_t piece, int) {
        multiply(piece / token_pieces * cut_.row_tile, piece % token_pieces * cut_.blocks_per_piece);
      });
    }
  }

 private:
  int64_t block_tokens() const { return cut_.vectors * product_.lanes; }
  std::byte* panel(int64_t column_block, int64_t block) const {
    return panels_ + (column_block * blocks_ + block) * panel_bytes_;
  }
  // The one that follows while a piece goes through its blocks of columns and tokens; after the last, itself.
  const std::byte* next_panel(int64_t column_block, int64_t block, int64_t first_block, int64_t last_block) const {
    if (block + 1 < last_block) return panel(column_block, block + 1);
    return column_block + 1 < cut_.column_blocks ? panel(column_block + 1, first_block) : panel(column_block, block);
  }
  int64_t tokens_in(int64_t block) const { return std::min(block_tokens(), tokens_ - block * block_tokens()); }
  int64_t vectors_in(int64_t block) const { return ceil_div(tokens_in(block), product_.lanes); }

  void pack(int64_t piece) const {
    const int64_t column_block = piece / blocks_, block = piece % blocks_;
    const int64_t column = column_block * cut_.columns, token = first_token_ + block * block_tokens();
    product_.pack(&x_(token, column), x_.stride, tokens_in(block), std::min(cut_.columns, x_.cols - column),
                  cut_.columns, cut_.vectors, panel(column_block, block));
  }

  // Rows from first_row on, tokens of some blocks.
  void multiply(int64_t first_row, int64_t first_block) const {
    static thread_local Scratch list_scratch, sum_scratch;
    const int64_t rows = std::min(cut_.row_tile, weight_.out_features - first_row);
    const int64_t last_block = std::min(blocks_, first_block + cut_.blocks_per_piece);
    const int64_t row_step = cut_.columns + kListSlack;
    auto* storage = reinterpret_cast<uint32_t*>(list_scratch.grow(kMaxRowTile * row_step * 8));
    int32_t counts[kMaxRowTile];
    const GatherLists lists(storage, counts, row_step, Lists::kTiled);
    const int64_t block_sums = kMaxRowTile * block_tokens();
    auto* sums = reinterpret_cast<float*>(sum_scratch.grow(cut_.blocks_per_piece * block_sums * 4));
    Lists maker(weight_, first_row, rows);
    for (int64_t column_block = 0; column_block < cut_.column_blocks; ++column_block) {
      maker.make(product_, {first_row, rows, column_block * cut_.columns, cut_.columns, slot_bytes_}, lists);
      for (int64_t block = first_block; block < last_block; ++block) {
        // In order and ahead, the panel comes out of the outer caches faster than the lists would ask for it.
        const std::byte* here = panel(column_block, block);
        for (int64_t byte = 0; byte < panel_bytes_; byte += 64) __builtin_prefetch(here + byte);
        product_.multiply(lists, rows, {here, next_panel(column_block, block, first_block, last_block), panel_bytes_},
                          vectors_in(block), column_block == 0, sums + (block - first_block) * block_sums);
      }
    }
    for (int64_t block = first_block; block < last_block; ++block)
      product_.store(sums + (block - first_block) * block_sums, vectors_in(block) * product_.lanes, rows,
                     tokens_in(block), bias_.empty() ? nullptr : bias_.data() + first_row,
                     &y_(first_token_ + block * block_tokens(), first_row), y_.stride);
  }

  const GatherProduct& product_;
  const View& weight_;
  MatrixView<const float> x_;
  std::span<const float> bias_;
  MatrixView<float> y_;
  Cut cut_;
  int64_t slot_bytes_, panel_bytes_;
  int64_t first_token_ = 0, tokens_ = 0, blocks_ = 0;  // of the chunk at work
  std::byte* panels_ = nullptr;
};

// Nothing to multiply: a weight without columns gives the bias.
bool trivial(MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y) {
  if (x.cols > 0 && y.rows > 0 && y.cols > 0) return false;
  for (int64_t token = 0; token < y.rows; ++token)
    for (int64_t row = 0; row < y.cols; ++row) y(token, row) = bias.empty() ? 0.0f : bias[row];
  return true;
}

}  // namespace

void sparse_gemm_with(const GatherKernels& kernels, const BitRowsView& weight, MatrixView<const float> x,
                      std::span<const float> bias, MatrixView<float> y) {
  if (trivial(x, bias, y)) return;
  Gemm<BitLists, BitRowsView>(kernels.product, weight, x, bias, y).run();
}

void sparse_gemm_with(const GatherKernels& kernels, const NmTilesView& weight, MatrixView<const float> x,
                      std::span<const float> bias, MatrixView<float> y) {
  ESPARSE_CHECK(!weight.of_eights());
  if (trivial(x, bias, y)) return;
  Gemm<TileLists, NmTilesView>(kernels.product, weight, x, bias, y).run();
}

void sparse_gemm(const BitRowsView& weight, MatrixView<const float> x, std::span<const float> bias,
                 MatrixView<float> y) {
  sparse_gemm_with(kernels<GatherKernels>(), weight, x, bias, y);
}
void sparse_gemm(const NmTilesView& weight, MatrixView<const float> x, std::span<const float> bias,
                 MatrixView<float> y) {
  if (trivial(x, bias, y)) return;
  if (const TileGemmKernel* kernel = tile_gemm_kernel(kernels<TileKernels>(), weight))
    return tile_gemm(*kernel, weight, x, bias, y);
  sparse_gemm_with(kernels<GatherKernels>(), weight, x, bias, y);
}

bool has_sparse_gemm(const NmTilesView& weight) {
  return !weight.of_eights() || tile_gemm_kernel(kernels<TileKernels>(), weight) != nullptr;
}

}  // namespace esparse

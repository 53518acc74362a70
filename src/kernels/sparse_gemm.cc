#include "kernels/sparse_gemm.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

// Bytes on a cache line, kept from call to call.
class Scratch {
 public:
  std::byte* grow(int64_t bytes) {
    if (bytes > bytes_) {
      storage_ = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(bytes) + kLine);
      bytes_ = bytes;
    }
    const auto address = reinterpret_cast<uintptr_t>(storage_.get());
    return storage_.get() + (kLine - address % kLine) % kLine;
  }

 private:
  static constexpr size_t kLine = 64;
  std::unique_ptr<std::byte[]> storage_;
  int64_t bytes_ = 0;
};

constexpr int64_t kMaxRowTile = 512;  // of all products

// How the product is cut. Depends on the shape and the kernels alone.
struct Cut {
  int64_t vectors;       // in a slot: lanes * vectors tokens in a block
  int64_t chunk_tokens;  // tokens that are packed at once, several blocks
  int64_t columns;       // of a block
  int64_t column_blocks;
  int64_t row_tile;
  int64_t blocks_per_piece;  // of tokens

  Cut(const GatherShape& shape, int64_t tokens, int64_t out_features, int64_t in_features) {
    const int64_t chunks = ceil_div(tokens, shape.max_blocks * shape.max_vectors * shape.lanes);
    const int64_t per_chunk = ceil_div(ceil_div(tokens, chunks), shape.lanes);  // vectors
    vectors = ceil_div(per_chunk, ceil_div(per_chunk, shape.max_vectors));
    chunk_tokens = per_chunk * shape.lanes;
    const int64_t column_bytes = shape.panel_bytes * vectors * shape.lanes + shape.list_bytes;
    columns = std::clamp(shape.cache_bytes / column_bytes / kColumnStep * kColumnStep, kColumnStep,
                         std::min(shape.max_columns, ceil_div(in_features, kColumnStep) * kColumnStep));
    column_blocks = ceil_div(in_features, columns);
    // Blocks of tokens share the lists of a piece, and its rows share the panels, but every core wants work.
    constexpr int64_t kPieces = 16;
    row_tile = out_features >= kPieces * shape.row_tile ? shape.row_tile : shape.narrow_row_tile;
    const int64_t row_tiles = ceil_div(out_features, row_tile), blocks = ceil_div(per_chunk, vectors);
    blocks_per_piece = std::clamp<int64_t>(blocks * row_tiles / kPieces, 1, blocks);
  }

 private:
  static constexpr int64_t kColumnStep = NmTilesView::kColumns;
};

// The rows of one piece of work, which goes through its blocks of columns in ascending order.
struct Piece {
  int64_t first_row, rows;
  int64_t columns;  // of a block
  int64_t vectors;  // of tokens in a block
  int64_t slot_bytes(const GatherShape& shape) const { return vectors * shape.lanes * 4; }
  int64_t list_step() const { return columns + kListSlack; }
};

// Three sources of weights: each makes the lists of a block of columns, which then meet several panels.

// In order and ahead, a panel comes out of the outer caches faster than the lists would ask for it.
void fetch(const GatherPanel& panel) {
  for (int64_t byte = 0; byte < panel.bytes; byte += 64) __builtin_prefetch(panel.data + byte);
}

// f32, tiles: sixteen rows at a time; rows that only fill up a group keep nothing.
class TileSource {
 public:
  using View = NmTilesView;
  using Product = GatherProduct;
  TileSource(const Product& product, const View& weight, const Piece& piece)
      : product_(product),
        weight_(weight),
        piece_(piece),
        lists_(list_storage(piece), counts_, piece.list_step(), true) {}

  void make(int64_t column) {
    const int64_t tile = column / View::kColumns;
    const int64_t tiles = std::min(piece_.columns / View::kColumns, weight_.tiles_per_block() - tile);
    const int64_t entries = tiles * product_.tile_entries;
    const int64_t rows = ceil_div(piece_.rows, product_.shape.row_group) * product_.shape.row_group;
    for (int64_t row = 0; row < rows; row += View::kRows)
      product_.list_tiles(weight_.dtype, weight_.tile((piece_.first_row + row) / View::kRows, tile), tiles,
                          piece_.slot_bytes(product_.shape), lists_.words + lists_.row_start(row),
                          lists_.offsets + lists_.row_start(row));
    std::fill_n(counts_, rows, static_cast<int32_t>(entries));
  }
  void multiply(const GatherPanel& panel, int64_t vectors, bool first, float* sums) const {
    fetch(panel);
    product_.multiply(lists_, piece_.rows, panel, vectors, first, sums);
  }

  static uint32_t* list_storage(const Piece& piece) {
    static thread_local Scratch scratch;
    return reinterpret_cast<uint32_t*>(
        scratch.grow(ceil_div(piece.rows, View::kRows) * View::kRows * piece.list_step() * 8));
  }

 private:
  const Product& product_;
  const View& weight_;
  Piece piece_;
  int32_t counts_[kMaxRowTile];
  GatherLists lists_;
};

// f32, rows with bits: one row after the other; remembers how far each has come.
class BitSource {
 public:
  using View = BitRowsView;
  using Product = GatherProduct;
  BitSource(const Product& product, const View& weight, const Piece& piece)
      : product_(product),
        weight_(weight),
        piece_(piece),
        lists_(TileSource::list_storage(piece), counts_, piece.list_step(), false) {
    for (int64_t row = 0; row < piece.rows; ++row) {
      next_[row] = weight.row_offset(piece.first_row + row);
      ends_[row] = weight.row_offset(piece.first_row + row + 1);
    }
  }

  void make(int64_t column) {
    const int64_t first_byte = column / 8;
    const int64_t mask_bytes = std::min(piece_.columns / 8, weight_.bitmask_row_bytes() - first_byte);
    product_.list_bits({weight_.dtype, piece_.rows, weight_.values, next_, ends_,
                        weight_.row_bits(piece_.first_row) + first_byte, weight_.bitmask_row_bytes(), mask_bytes},
                       piece_.slot_bytes(product_.shape), piece_.columns, lists_);
  }
  void multiply(const GatherPanel& panel, int64_t vectors, bool first, float* sums) const {
    fetch(panel);
    product_.multiply(lists_, piece_.rows, panel, vectors, first, sums);
  }

 private:
  const Product& product_;
  const View& weight_;
  Piece piece_;
  int64_t next_[kMaxRowTile], ends_[kMaxRowTile];
  int32_t counts_[kMaxRowTile];
  GatherLists lists_;
};

// Pairs of bf16: the words are those of the tiles, only offsets are listed.
class PairSource {
 public:
  using View = NmTilesView;
  using Product = PairProduct;
  PairSource(const Product& product, const View& weight, const Piece& piece)
      : product_(product), weight_(weight), piece_(piece), first_block_(piece.first_row / View::kRows) {
    static thread_local Scratch offsets, panel;
    tiles_.block_bytes = weight.tiles_per_block() * weight.tile_bytes();
    tiles_.blocks = ceil_div(piece.rows, View::kRows);
    const int64_t tiles = tiles_.blocks * (piece.columns / View::kColumns);
    offsets_ = reinterpret_cast<uint16_t*>(offsets.grow(tiles * product.tile_offsets * 2));
    tiles_.offsets = offsets_;
    panel_ = panel.grow(piece.columns * product.shape.panel_bytes * piece.vectors * product.shape.lanes);
  }

  void make(int64_t column) {
    const int64_t tile = column / View::kColumns;
    tiles_.tiles = weight_.tile(first_block_, tile);
    tiles_.count = std::min(piece_.columns / View::kColumns, weight_.tiles_per_block() - tile);
    for (int64_t block = 0; block < tiles_.blocks; ++block)
      product_.list(tiles_.tiles + block * tiles_.block_bytes, tiles_.count, piece_.slot_bytes(product_.shape),
                    offsets_ + block * tiles_.count * product_.tile_offsets);
  }
  void multiply(const GatherPanel& packed, int64_t vectors, bool first, float* sums) const {
    product_.expand(packed.data, piece_.columns, piece_.vectors, panel_);
    product_.multiply(tiles_, packed, panel_, vectors, first, sums);
  }

 private:
  const Product& product_;
  const View& weight_;
  Piece piece_;
  int64_t first_block_;
  PairTiles tiles_{};
  uint16_t* offsets_;
  std::byte* panel_;
};

// One product of activations that stand in panels already: [column block][token block].
template <typename Source>
class Gemm {
 public:
  using View = typename Source::View;
  using Product = typename Source::Product;
  Gemm(const Product& product, const View& weight, MatrixView<const float> x, std::span<const float> bias,
       MatrixView<float> y)
      : product_(product),
        shape_(product.shape),
        weight_(weight),
        x_(x),
        bias_(bias),
        y_(y),
        cut_(shape_, x.rows, weight.out_features, weight.in_features),
        panel_bytes_((cut_.columns * shape_.packed_bytes + shape_.packed_tail) * block_tokens()) {}

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
  int64_t block_tokens() const { return cut_.vectors * shape_.lanes; }
  std::byte* panel(int64_t column_block, int64_t block) const {
    return panels_ + (column_block * blocks_ + block) * panel_bytes_;
  }
  // The one that follows while a piece goes through its blocks of columns and tokens; after the last, itself.
  const std::byte* next_panel(int64_t column_block, int64_t block, int64_t first_block, int64_t last_block) const {
    if (block + 1 < last_block) return panel(column_block, block + 1);
    return column_block + 1 < cut_.column_blocks ? panel(column_block + 1, first_block) : panel(column_block, block);
  }
  int64_t tokens_in(int64_t block) const { return std::min(block_tokens(), tokens_ - block * block_tokens()); }
  int64_t vectors_in(int64_t block) const { return ceil_div(tokens_in(block), shape_.lanes); }

  void pack(int64_t piece) const {
    const int64_t column_block = piece / blocks_, block = piece % blocks_;
    const int64_t column = column_block * cut_.columns, token = first_token_ + block * block_tokens();
    shape_.pack(&x_(token, column), x_.stride, tokens_in(block), std::min(cut_.columns, x_.cols - column), cut_.columns,
                cut_.vectors, panel(column_block, block));
  }

  // Rows from first_row on, tokens of some blocks.
  void multiply(int64_t first_row, int64_t first_block) const {
    static thread_local Scratch sum_scratch;
    const int64_t rows = std::min(cut_.row_tile, weight_.out_features - first_row);
    const int64_t last_block = std::min(blocks_, first_block + cut_.blocks_per_piece);
    const int64_t block_sums = cut_.row_tile * block_tokens();
    auto* sums = reinterpret_cast<float*>(sum_scratch.grow(cut_.blocks_per_piece * block_sums * 4));
    Source source(product_, weight_, {first_row, rows, cut_.columns, cut_.vectors});
    for (int64_t column_block = 0; column_block < cut_.column_blocks; ++column_block) {
      source.make(column_block * cut_.columns);
      for (int64_t block = first_block; block < last_block; ++block) {
        source.multiply(
            {panel(column_block, block), next_panel(column_block, block, first_block, last_block), panel_bytes_},
            vectors_in(block), column_block == 0, sums + (block - first_block) * block_sums);
      }
    }
    for (int64_t block = first_block; block < last_block; ++block)
      shape_.store(sums + (block - first_block) * block_sums, vectors_in(block) * shape_.lanes, rows, tokens_in(block),
                   bias_.empty() ? nullptr : bias_.data() + first_row,
                   &y_(first_token_ + block * block_tokens(), first_row), y_.stride);
  }

  const Product& product_;
  const GatherShape& shape_;
  const View& weight_;
  MatrixView<const float> x_;
  std::span<const float> bias_;
  MatrixView<float> y_;
  Cut cut_;
  int64_t panel_bytes_;
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

// Null where f32 has to do.
const PairProduct* pair_product(const GatherKernels& kernels, const NmTilesView& weight) {
  if (kernels.pairs == nullptr || weight.dtype != DType::bf16) return nullptr;
  if (weight.of_eights())
    return weight.pattern.kept == 2   ? &kernels.pairs->of_2_8
           : weight.pattern.kept == 4 ? &kernels.pairs->of_4_8
                                      : nullptr;
  // A last group of one or two columns may keep a single weight in an order that is none of the six pairs.
  return weight.in_features % NmTilesView::kGroup == 0 ? &kernels.pairs->of_2_4 : nullptr;
}

}  // namespace

void sparse_gemm_with(const GatherKernels& kernels, const BitRowsView& weight, MatrixView<const float> x,
                      std::span<const float> bias, MatrixView<float> y) {
  if (trivial(x, bias, y)) return;
  Gemm<BitSource>(*kernels.f32, weight, x, bias, y).run();
}

void sparse_gemm_with(const GatherKernels& kernels, const NmTilesView& weight, MatrixView<const float> x,
                      std::span<const float> bias, MatrixView<float> y) {
  if (trivial(x, bias, y)) return;
  if (const PairProduct* product = pair_product(kernels, weight)) {
    Gemm<PairSource>(*product, weight, x, bias, y).run();
  } else {
    ESPARSE_CHECK(!weight.of_eights());
    Gemm<TileSource>(*kernels.f32, weight, x, bias, y).run();
  }
}

bool has_sparse_gemm(const NmTilesView& weight) {
  return !weight.of_eights() || pair_product(kernels<GatherKernels>(), weight) != nullptr;
}

void sparse_gemm(const BitRowsView& weight, MatrixView<const float> x, std::span<const float> bias,
                 MatrixView<float> y) {
  sparse_gemm_with(kernels<GatherKernels>(), weight, x, bias, y);
}
void sparse_gemm(const NmTilesView& weight, MatrixView<const float> x, std::span<const float> bias,
                 MatrixView<float> y) {
  sparse_gemm_with(kernels<GatherKernels>(), weight, x, bias, y);
}

}  // namespace esparse

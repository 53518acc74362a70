// y = W x for 2:4 tiles and a few tokens, written once for every vector type `V` (simd/avx2.h): the rows of a tile are
// the lanes. Two pieces:
//   TileProducts     what a tile's weights do to one token: the f32 way, exact in x (the other: few_tile_pairs.h)
//   multiply_tiles   the loops around it: which rows and tokens are in registers at once
//
// One step is V::kLanes rows x 4 columns of one token: the four inputs stand in every four lanes, two permutes pick
// what each row keeps, two fused multiply-adds; dense weights need four of those. Decoding the weights (two halves of a
// word, two shifts of the index, a selector) is done once for all tokens in registers, at most eight.
//
// AVX2, Zen 3: dense weights take 2 cycles a step. vpermilps has the two ports of the multiply-adds: with it alone a
// step takes 2 cycles as well. vpshufb has one of them and a third. With one of each, three operations on the two ports
// and one on the third, the bound is 1.5 cycles; 1.86 measured at 8 tokens, decoding included. Up to about 4 tokens
// reading the weights takes longer than that, and there 2:4 gains up to 1.78x.
// AVX-512, Intel: 4 operations on 2 ports, 2 cycles as dense: no gain beyond reading, hence few_tile_pairs.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/tile_kernels.h"

namespace esparse::simd {

inline constexpr int kTileRows = NmTilesView::kRows, kTileColumns = NmTilesView::kColumns;
inline constexpr int kTileGroups = NmTilesView::kGroups, kTileIndexBytes = 4 * kTileRows;

// The two kept values of a group, V::kLanes rows from `row` on, as f32.
struct Bf16Values {
  static constexpr int kBytes = 2;
  template <typename V>
  static void load(const std::byte* group, int row, typename V::F& first, typename V::F& second) {
    const typename V::I words = V::load_words(group + 4 * row);
    first = V::bf16_low(words);
    second = V::bf16_high(words);
  }
};
struct F16Values {
  static constexpr int kBytes = 2;
  template <typename V>
  static void load(const std::byte* group, int row, typename V::F& first, typename V::F& second) {
    first = V::load_f16(group + 2 * row);
    second = V::load_f16(group + 2 * (kTileRows + row));
  }
};
struct F32Values {
  static constexpr int kBytes = 4;
  template <typename V>
  static void load(const std::byte* group, int row, typename V::F& first, typename V::F& second) {
    first = V::load(group + 4 * row);
    second = V::load(group + 4 * (kTileRows + row));
  }
};

// Goes through the entries of a tile of 2:4, which are its groups.
template <typename Products>
class CodeWalk {
 public:
  using V = typename Products::V;
  CodeWalk() = default;
  CodeWalk(const std::byte* tile, int row) : index_(V::load_words(tile + 4 * row)) {}
  // The next entry; its values stand at `entry`.
  Products next(const std::byte* entry, int row, int) {
    const Products products(entry, row, index_);
    index_ = V::template shift_right<4>(index_);
    return products;
  }

 private:
  typename V::I index_;
};

// kMany: for more than four tokens at once the two ways to select take turns, because they use different ports of Zen 3
// (see above); for fewer the selector costs more than it saves.
template <typename Vector, typename Values, bool kMany>
struct TileProducts {
  using V = Vector;
  using F = typename V::F;
  using I = typename V::I;
  static constexpr int kEntries = kTileGroups;                        // pairs of kept weights of one row in a tile
  static constexpr int kEntryBytes = 2 * kTileRows * Values::kBytes;  // of sixteen rows
  static constexpr int kXBytes = 4 * kTileColumns;                    // of x, one token in one tile
  // Whether the weights are asked for ahead of use. The processor follows such streams by itself, and on Zen 4 asking
  // costs a quarter of the speed of one token; where many operations a weight keep it waiting, asking gains a fifth.
  static constexpr bool kAsksAhead = true;
  using Walk = CodeWalk<TileProducts>;

  // `index`: the codes of this group in the lowest four bits.
  TileProducts(const std::byte* group, int row, I index)
      : first_column(index), second_column(V::template shift_right<2>(index)) {
    if constexpr (kMany) second_column = V::selector4(second_column);
    Values::template load<V>(group, row, first, second);
  }
  F add(F sum, const std::byte* x, int group) const {
    const F inputs = V::broadcast4(reinterpret_cast<const float*>(x) + 4 * group);
    sum = V::fma(first, V::select4(inputs, first_column), sum);
    if constexpr (kMany) return V::fma(second, V::select4_by(inputs, second_column), sum);
    return V::fma(second, V::select4(inputs, second_column), sum);
  }

  F first, second;
  I first_column, second_column;
};

// How weights of one type are multiplied.
template <typename V, typename Values>
struct TileWay {
  template <bool many>
  using Products = TileProducts<V, Values, many>;
};

// Adds the products of `count` tiles of each row block: kVectors vectors of rows, from row `row` of the piece on, times
// kTokens tokens, all sums in registers. Where that is more than one row block, they stand `apart` blocks from each
// other.
template <typename Products, int kVectors, int kTokens>
void add_tiles(const TilePiece& piece, int64_t first_tile, int64_t count, int64_t row, int64_t apart,
               int64_t first_token) {
  using V = typename Products::V;
  constexpr int kPerBlock = kTileRows / V::kLanes;
  constexpr int kTileBytes = kTileIndexBytes + Products::kEntries * Products::kEntryBytes;
  constexpr int kAhead = 4 * kTileBytes;
  const int64_t block_bytes = piece.tiles_per_block * kTileBytes, x_bytes = piece.tokens * Products::kXBytes;
  const int lane = static_cast<int>(row % kTileRows);
  const std::byte* tiles[kVectors];  // of the row block that each vector belongs to
  for (int v = 0; v < kVectors; ++v)
    tiles[v] = piece.tiles + (row / kTileRows + v / kPerBlock * apart) * block_bytes + first_tile * kTileBytes;
  const std::byte* x = piece.x + first_tile * x_bytes + first_token * Products::kXBytes;
  float* target = piece.sums + first_token * TilePiece::kRows + row;
  const int64_t step = apart * kTileRows;  // of the sums, from a row block to the next

  typename V::F sums[kVectors][kTokens];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t)
      sums[v][t] = first_tile == 0
                       ? V::zero()
                       : V::load(target + t * TilePiece::kRows + v / kPerBlock * step + v % kPerBlock * V::kLanes);

  for (; count > 0; --count, x += x_bytes) {
    typename Products::Walk walks[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) walks[v] = typename Products::Walk(tiles[v], lane + v % kPerBlock * V::kLanes);
#pragma GCC unroll 16
    for (int e = 0; e < Products::kEntries; ++e) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const std::byte* entry = tiles[v] + kTileIndexBytes + e * Products::kEntryBytes;
        if (Products::kAsksAhead && kTokens >= 4 && v % kPerBlock == 0)
          for (int line = 0; line < Products::kEntryBytes; line += 64) V::prefetch(entry + kAhead + line);
        const Products products = walks[v].next(entry, lane + v % kPerBlock * V::kLanes, e);
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; ++t) sums[v][t] = products.add(sums[v][t], x + t * Products::kXBytes, e);
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) tiles[v] += kTileBytes;
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t)
      V::store(target + t * TilePiece::kRows + v / kPerBlock * step + v % kPerBlock * V::kLanes, sums[v][t]);
}

// kTokens tokens with all rows of the piece. As many vectors of rows at once as there are registers for their sums:
// more share the loads of x and hide the latency of the additions. Several row blocks at once lie as far apart as the
// piece allows: memory serves distant streams faster than neighbouring ones.
template <typename Products, int kTokens>
void add_tokens(const TilePiece& piece, int64_t first_tile, int64_t count, int64_t first_token) {
  constexpr int kFit = Products::V::kRegisters / 2 / kTokens, kLanes = Products::V::kLanes;
  constexpr int kVectors = kFit >= 4 ? 4 : kFit >= 2 ? 2 : 1, kPerBlock = kTileRows / kLanes;
  constexpr int kBlocks = kVectors > kPerBlock ? kVectors / kPerBlock : 1;
  const int64_t apart = piece.blocks / kBlocks;
  constexpr int kInBlock = kVectors < kPerBlock ? kVectors : kPerBlock;
  for (int64_t row = 0; row < apart * kTileRows; row += kInBlock * kLanes)
    add_tiles<Products, kVectors, kTokens>(piece, first_tile, count, row, apart, first_token);
  for (int64_t row = apart * kBlocks * kTileRows; row < piece.blocks * kTileRows; row += kLanes)
    add_tiles<Products, 1, kTokens>(piece, first_tile, count, row, 0, first_token);
}

template <typename Way, int... tokens>
void multiply_tiles(const TilePiece& piece, std::integer_sequence<int, tokens...>) {
  using Add = void (*)(const TilePiece&, int64_t, int64_t, int64_t);
  static constexpr Add kAdd[] = {add_tokens<typename Way::template Products<(tokens >= 4)>, tokens + 1>...};
  constexpr int64_t kMaxTokens = sizeof...(tokens);
  // Long streams are what memory serves best: all tiles of a row block one after another, as long as their part of x
  // leaves room in a second-level cache of 512 KiB, from where it is read again for all rows.
  constexpr int64_t kXBytes = 256 << 10;
  const int64_t run = kXBytes / (piece.tokens * Way::template Products<false>::kXBytes),
                chunks = (piece.tokens + kMaxTokens - 1) / kMaxTokens;
  for (int64_t first = 0; first < piece.tiles_per_block; first += run) {
    const int64_t rest = piece.tiles_per_block - first, count = run < rest ? run : rest;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t token = piece.tokens * chunk / chunks, next = piece.tokens * (chunk + 1) / chunks;
      kAdd[next - token - 1](piece, first, count, token);
    }
  }
}

template <typename Way>
void multiply_tiles(const TilePiece& piece) {
  multiply_tiles<Way>(piece, std::make_integer_sequence<int, 8>());
}

template <typename V>
void multiply_tiles_f32(const TilePiece& piece) {
  if (piece.dtype == DType::bf16) return multiply_tiles<TileWay<V, Bf16Values>>(piece);
  if (piece.dtype == DType::f16) return multiply_tiles<TileWay<V, F16Values>>(piece);
  multiply_tiles<TileWay<V, F32Values>>(piece);
}

}  // namespace esparse::simd

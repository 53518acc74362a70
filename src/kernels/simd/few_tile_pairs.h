// The other way of few_tiles.h, for bf16 weights where the processor multiplies pairs of bf16 (V::kHasPairs): x is
// ROUNDED TO BF16 first (tile_kernels.h says what that costs in precision).
//
// One step is 16 rows x 4 columns of one token, two operations: a shuffle of bytes picks the pair (x[i0], x[i1]) of
// every row out of the four inputs, which a load repeats in all lanes, and a dot product of pairs adds it. How to
// shuffle follows from the code i0 | i1 << 2 by a table of 16 words: one shift and one permute for all tokens.
//   AVX-512, Intel  shuffle on one port, dot product on another: 1 cycle; dense pairs 2
//   one token       4 operations for 16 rows x 4 columns, the f32 way 8: so it goes this way too, and its bits are
//                   those that it has among others
#pragma once

#include "kernels/simd/few_tile_eights.h"
#include "kernels/simd/few_tiles.h"

namespace esparse::simd {

// A code -> the bytes of the two inputs within the four: bytes 2 * i0, 2 * i0 + 1, 2 * i1, 2 * i1 + 1.
struct PairShuffles {
  uint32_t word[16];
};
constexpr PairShuffles make_pair_shuffles() {
  PairShuffles shuffles{};
  for (uint32_t code = 0; code < 16; ++code) {
    const uint32_t first = 2 * (code & 3), second = 2 * (code >> 2);
    shuffles.word[code] = first | (first + 1) << 8 | second << 16 | (second + 1) << 24;
  }
  return shuffles;
}
alignas(64) inline constexpr PairShuffles kPairShuffles = make_pair_shuffles();

template <typename Vector>
struct TilePairProducts {
  using V = Vector;
  using F = typename V::F;
  using I = typename V::I;
  static_assert(V::kHasPairs && V::kLanes == kTileRows);
  static constexpr int kEntries = kTileGroups;
  static constexpr int kEntryBytes = 4 * kTileRows;
  static constexpr int kXBytes = 2 * kTileColumns;
  static constexpr bool kAsksAhead = false;
  using Walk = CodeWalk<TilePairProducts>;

  TilePairProducts(const std::byte* group, int, I index)
      : weights(V::load_words(group)), shuffle(V::lookup16(V::load_words(kPairShuffles.word), index)) {}
  F add(F sum, const std::byte* x, int group) const {
    return V::dot_pairs(sum, weights, V::shuffle_bytes(V::broadcast8(x + 8 * group), shuffle));
  }

  I weights, shuffle;
};

template <typename V>
struct TilePairWay {
  template <bool>
  using Products = TilePairProducts<V>;
};

// bf16 weights only.
template <typename V>
void multiply_tile_pairs(const TilePiece& piece) {
  switch (piece.eights_kept) {
    case 2:
      return multiply_tiles<TileEightWay<V, 2>>(piece);
    case 4:
      return multiply_tiles<TileEightWay<V, 4>>(piece);
    case 6:
      return multiply_tiles<TileEightWay<V, 6>>(piece);
    default:
      return multiply_tiles<TilePairWay<V>>(piece);
  }
}

template <typename V>
void round_tile_columns(const float* x, std::byte* target) {
  for (int i = 0; i < kTileColumns; i += V::kLanes) V::store_bf16(target + 2 * i, V::load(x + i));
}

}  // namespace esparse::simd

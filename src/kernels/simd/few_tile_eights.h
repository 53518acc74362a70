// The way of few_tile_pairs.h for tiles of N:8 (sparse/nm_tiles.h): bf16 weights, x ROUNDED TO BF16.
//
// A step is 16 rows x one pair of kept weights of one token: a shuffle of bytes picks the pair of every row out of the
// eight inputs of the group, which a load repeats in every four lanes, and a dot product of pairs adds it. How to
// shuffle follows from the number of the pattern: for the four groups of a tile and sixteen rows at once, two lookups
// in tables of 128 bytes and ten operations a pair, for all tokens in registers. Accumulation: one chain for every
// output, pair by pair.
#pragma once

#include "kernels/simd/few_tiles.h"
#include "sparse/eight_patterns.h"

namespace esparse::simd {

// The number of a pattern -> twice the column of the first or second of a pair: the place of its lower byte.
template <int kept>
struct EightPlaces {
  uint8_t first[kept / 2][128] = {}, second[kept / 2][128] = {};
};
template <int kept>
constexpr EightPlaces<kept> make_eight_places() {
  EightPlaces<kept> places;
  const EightPatterns& patterns = eight_patterns(kept);
  for (int number = 0; number < patterns.patterns; ++number)
    for (int k = 0; k < kept / 2; ++k) {
      places.first[k][number] = static_cast<uint8_t>(2 * patterns.column[number][2 * k]);
      places.second[k][number] = static_cast<uint8_t>(2 * patterns.column[number][2 * k + 1]);
    }
  return places;
}
template <int kept>
alignas(64) inline constexpr EightPlaces<kept> kEightPlaces = make_eight_places<kept>();

template <typename Vector, int kept>
struct TileEightProducts {
  using V = Vector;
  using F = typename V::F;
  using I = typename V::I;
  static_assert(V::kHasPairs && V::kLanes == kTileRows);
  static constexpr int kPairs = kept / 2, kGroups = NmTilesView::kEights;
  static constexpr int kEntries = kGroups * kPairs;
  static constexpr int kEntryBytes = 4 * kTileRows;
  static constexpr int kXBytes = 2 * kTileColumns;
  static constexpr bool kAsksAhead = false;

  class Walk {
   public:
    Walk() = default;
    Walk(const std::byte* tile, int) {
      const I numbers = V::load_words(tile);
#pragma GCC unroll 3
      for (int k = 0; k < kPairs; ++k) {
        const I first = V::lookup_bytes(kEightPlaces<kept>.first[k], numbers);
        const I second = V::lookup_bytes(kEightPlaces<kept>.second[k], numbers);
        const I odd = V::broadcast_word(0x01010101);  // the upper bytes are odd, the lower ones even
        const I first_odd = V::add_words(first, odd), second_odd = V::add_words(second, odd);
        const I firsts[2] = {V::zip_bytes_low(first, first_odd), V::zip_bytes_high(first, first_odd)};
        const I seconds[2] = {V::zip_bytes_low(second, second_odd), V::zip_bytes_high(second, second_odd)};
        for (int half = 0; half < 2; ++half) {
          shuffles_[2 * half][k] = V::zip_halves_low(firsts[half], seconds[half]);
          shuffles_[2 * half + 1][k] = V::zip_halves_high(firsts[half], seconds[half]);
        }
      }
    }
    TileEightProducts next(const std::byte* entry, int, int e) const {
      return {V::load_words(entry), shuffles_[e / kPairs][e % kPairs]};
    }

   private:
    I shuffles_[kGroups][kPairs];
  };

  F add(F sum, const std::byte* x, int entry) const {
    return V::dot_pairs(sum, weights, V::shuffle_bytes(V::broadcast16(x + 16 * (entry / kPairs)), shuffle));
  }

  I weights, shuffle;
};

// The number of a pattern -> for every byte of eight columns, its place among the pairs of the row; 128 and more: zero.
template <int kept>
struct EightSpread {
  uint8_t from[EightPatterns::kMaxPatterns][16];
};
template <int kept>
constexpr EightSpread<kept> make_eight_spread() {
  EightSpread<kept> spread{};
  const EightPatterns& patterns = eight_patterns(kept);
  for (int number = 0; number < patterns.patterns; ++number) {
    for (uint8_t& byte : spread.from[number]) byte = 128;
    for (int k = 0; k < kept; ++k)
      for (int byte = 0; byte < 2; ++byte)
        spread.from[number][2 * patterns.column[number][k] + byte] = static_cast<uint8_t>(2 * k + byte);
  }
  return spread;
}
template <int kept>
alignas(64) inline constexpr EightSpread<kept> kEightSpread = make_eight_spread<kept>();

template <typename V, int kept>
void expand_eights_of(const std::byte* tile, std::byte* target, int64_t row_bytes) {
  constexpr int kPairs = kept / 2;
  const auto* words = reinterpret_cast<const uint32_t*>(tile + kTileIndexBytes);
  for (int row = 0; row < kTileRows; ++row)
    for (int group = 0; group < NmTilesView::kEights; ++group) {
      const auto number = static_cast<uint8_t>(tile[row / 4 * 16 + group * 4 + row % 4]);
      uint32_t pairs[4] = {};
      for (int k = 0; k < kPairs; ++k) pairs[k] = words[(group * kPairs + k) * kTileRows + row];
      V::spread_bytes(pairs, kEightSpread<kept>.from[number], target + row * row_bytes + group * 16);
    }
}

// TileKernels::expand_eights.
template <typename V>
void expand_eights(int kept, const std::byte* tile, std::byte* target, int64_t row_bytes) {
  if (kept == 2) return expand_eights_of<V, 2>(tile, target, row_bytes);
  if (kept == 4) return expand_eights_of<V, 4>(tile, target, row_bytes);
  expand_eights_of<V, 6>(tile, target, row_bytes);
}

template <typename V, int kept>
struct TileEightWay {
  template <bool>
  using Products = TileEightProducts<V, kept>;
};

}  // namespace esparse::simd

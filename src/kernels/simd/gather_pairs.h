// Gather product in pairs of bf16 (kernels/gather_kernels.h): y[row] += w0 * x[c0] + w1 * x[c1] in one instruction,
// tokens in the lanes. V has kHasPairs.
//
// Weights: 2:4 tiles of bf16, whose words are used where they stand. Activations are ROUNDED TO bf16; sums are f32.
// Panel, 64-byte aligned: four columns become their six pairs 01 02 03 12 13 23, u32 words with the lower column in the
// low half. Accumulation: one chain of dot_pairs for every output, ascending columns.
// Cost, Zen 4: every dot product reads a vector of the panel, and a random one takes 1.13 cycles; the words of eight
// rows come in one load and are spread by shuffles on ports of their own, offsets come four at a time: 1.2 cycles for a
// dot product in all, 1.28 with the sums of a block of columns loaded and stored. Broadcasting each word from memory
// instead takes 1.5. The panel has to stay in the first-level cache, hence small blocks. Tails: tokens and columns
// beyond the end are zeros in the panel.
#pragma once

#include <cstdint>

#include "kernels/simd/gather_common.h"
#include "sparse/nm_tiles.h"

namespace esparse::simd {
namespace {

constexpr int kPairRows = 8;  // half a tile; with two vectors, sixteen chains hide the latency of six cycles
constexpr int kPairVectors = 2;
constexpr int kTilePairs = 6;  // slots of four columns

// The number of the pair a < b among those of four columns.
constexpr int pair_number(int a, int b) { return a * (7 - a) / 2 + b - a - 1; }

// [columns / 2][vectors][kLanes] words: two columns each, the lower one in the low half.
template <typename V>
void pack_pairs(const float* x, int64_t x_stride, int64_t tokens, int64_t columns, int64_t block_columns,
                int64_t vectors, std::byte* packed) {
  constexpr int kLanes = V::kLanes;
  auto* target = reinterpret_cast<uint32_t*>(packed);
  const int64_t step = vectors * kLanes;
  for (int64_t token = 0; token < step; token += kLanes)
    for (int64_t column = 0; column < block_columns; column += kLanes) {
      typename V::F lanes[kLanes];
      load_columns<V>(x + token * x_stride + column, x_stride, tokens - token, columns - column, lanes);
      for (int c = 0; c < kLanes; c += 2)
        V::store_words(target + (column + c) / 2 * step + token,
                       V::pair_words(V::round_bf16(lanes[c]), V::round_bf16(lanes[c + 1])));
    }
}

// The six pairs of four columns: [6][vectors][kLanes] words.
template <typename V>
inline void expand_four(const uint32_t* packed, int64_t slot, uint32_t* panel) {
  const auto first = V::load_words(packed), second = V::load_words(packed + slot);  // 01, 23
  const auto one = V::template shift_right<16>(first), two = V::template shift_left<16>(second);
  V::store_words(panel + pair_number(0, 1) * slot, first);
  V::store_words(panel + pair_number(0, 2) * slot, V::merge_halves(first, two));
  V::store_words(panel + pair_number(0, 3) * slot, V::merge_halves(first, second));
  V::store_words(panel + pair_number(1, 2) * slot, V::merge_halves(one, two));
  V::store_words(panel + pair_number(1, 3) * slot, V::merge_halves(one, second));
  V::store_words(panel + pair_number(2, 3) * slot, second);
}

template <typename V>
void expand_pairs(const std::byte* packed, int64_t columns, int64_t vectors, std::byte* panel) {
  const auto* source = reinterpret_cast<const uint32_t*>(packed);
  auto* target = reinterpret_cast<uint32_t*>(panel);
  const int64_t slot = vectors * V::kLanes;
  for (int64_t column = 0; column < columns; column += 4, source += 2 * slot, target += kTilePairs * slot)
    for (int64_t token = 0; token < slot; token += V::kLanes) expand_four<V>(source + token, slot, target + token);
}

template <typename V>
void list_pairs(const std::byte* tiles, int64_t count, int64_t slot_bytes, uint16_t* offsets) {
  constexpr int64_t kTileBytes = 64 + NmTilesView::kGroups * 64;
  const auto slot = static_cast<uint32_t>(slot_bytes);
  uint32_t slots[16] = {};  // by i0 | i1 << 2
  for (int a = 0; a < 4; ++a)
    for (int b = a + 1; b < 4; ++b) slots[a | b << 2] = static_cast<uint32_t>(pair_number(a, b)) * slot;
  const auto slot_of_code = V::load_words(slots);
  uint32_t base = 0;
  for (int64_t t = 0; t < count; ++t) {
    auto index = V::load_words(tiles + t * kTileBytes);
    for (int g = 0; g < NmTilesView::kGroups; ++g) {
      V::store_low_halves(offsets, V::add_words(V::lookup16(slot_of_code, index), V::broadcast_word(base)));
      index = V::template shift_right<4>(index);
      base += kTilePairs * slot;
      offsets += V::kLanes;
    }
  }
}

// Four rows of one entry: `words` has their weights in every four lanes.
template <typename V, int vectors>
inline void add_quad(typename V::I words, uint64_t offsets, const std::byte* panel, typename V::F (*acc)[vectors]) {
  const typename V::I weights[4] = {V::template spread_word<0>(words), V::template spread_word<1>(words),
                                    V::template spread_word<2>(words), V::template spread_word<3>(words)};
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    const std::byte* slot = panel + (offsets >> (16 * r) & 0xffff);
#pragma GCC unroll 2
    for (int z = 0; z < vectors; ++z) V::add_dot_pairs(acc[r][z], weights[r], slot + z * V::kLanes * 4);
  }
}

// Rows 8 * half ... + 7 of `count` tiles.
template <typename V, int vectors, int half>
[[gnu::noinline]] void multiply_half(const std::byte* tiles, int64_t count, const uint16_t* offsets,
                                     const std::byte* panel, bool first, float* sums) {
  typename V::F acc[kPairRows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < kPairRows; ++r)
#pragma GCC unroll 2
    for (int z = 0; z < vectors; ++z) acc[r][z] = first ? V::zero() : V::load(sums + (r * vectors + z) * V::kLanes);
  for (int64_t t = 0; t < count; ++t) {
    tiles += 64;  // the index
#pragma GCC unroll 8
    for (int g = 0; g < NmTilesView::kGroups; ++g, tiles += 64, offsets += 16) {
      const auto words = V::load_words(tiles);
      uint64_t places[2];
      std::memcpy(places, offsets + half * kPairRows, sizeof(places));
      add_quad<V, vectors>(V::template spread_quad<2 * half>(words), places[0], panel, acc);
      add_quad<V, vectors>(V::template spread_quad<2 * half + 1>(words), places[1], panel, acc + 4);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kPairRows; ++r)
#pragma GCC unroll 2
    for (int z = 0; z < vectors; ++z) V::store(sums + (r * vectors + z) * V::kLanes, acc[r][z]);
}

template <typename V, int vectors>
void multiply_pairs_block(const PairTiles& rows, const GatherPanel& packed, const std::byte* panel, bool first,
                          float* sums) {
  constexpr int64_t kSums = kPairRows * vectors * V::kLanes;
  FetchAhead<V> ahead(packed, rows.blocks, 1);
  for (int64_t block = 0; block < rows.blocks; ++block) {
    const std::byte* tiles = rows.tiles + block * rows.block_bytes;
    const uint16_t* offsets = rows.offsets + block * rows.count * PairTiles::kOffsets;
    ahead.step();
    multiply_half<V, vectors, 0>(tiles, rows.count, offsets, panel, first, sums + 2 * block * kSums);
    multiply_half<V, vectors, 1>(tiles, rows.count, offsets, panel, first, sums + (2 * block + 1) * kSums);
  }
}

template <typename V>
void multiply_pairs(const PairTiles& rows, const GatherPanel& packed, const std::byte* panel, int64_t vectors,
                    bool first, float* sums) {
  if (vectors == 1) return multiply_pairs_block<V, 1>(rows, packed, panel, first, sums);
  multiply_pairs_block<V, 2>(rows, packed, panel, first, sums);
}

template <typename V>
constexpr PairProduct make_gather_pairs() {
  static_assert(V::kHasPairs && V::kLanes == NmTilesView::kRows);
  return {
      .shape =
          {
              .lanes = V::kLanes,
              .max_vectors = kPairVectors,
              .max_blocks = 16,
              .cache_bytes = 24 << 10,  // of 32 KiB in the first-level cache
              .panel_bytes = kTilePairs * 4 / NmTilesView::kGroup,
              .list_bytes = 0,
              .packed_bytes = 2,
              .packed_tail = 0,
              .max_columns = 256,
              .row_tile = 512,
              .narrow_row_tile = 256,
              .row_group = NmTilesView::kRows,
              .pack = pack_pairs<V>,
              .store = store_sums<V>,
          },
      .expand = expand_pairs<V>,
      .list = list_pairs<V>,
      .multiply = multiply_pairs<V>,
  };
}

}  // namespace
}  // namespace esparse::simd

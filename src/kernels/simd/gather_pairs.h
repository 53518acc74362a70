// Gather product in pairs of bf16 (kernels/gather_kernels.h): y[row] += w0 * x[c0] + w1 * x[c1] in one instruction,
// tokens in the lanes. V has kHasPairs.
//
// Weights: tiles of bf16, 2:4, 2:8 or 4:8, whose words are used where they stand. Activations are ROUNDED TO bf16; sums
// are f32. Panel, 64-byte aligned: every group of columns becomes all pairs that a weight may keep, six of four
// columns, twenty or twenty-eight of eight (sparse/tile_pairs.h), u32 words with the lower column in the low half.
// Accumulation: one chain of dot_pairs for every output, entry by entry of the tiles. Cost, Zen 4: every dot product
// reads a vector of the panel, and a random one takes 1.13 cycles; the words of eight rows come in one load and are
// spread by shuffles on ports of their own, offsets come four at a time: 1.2 cycles for a dot product in all, 1.3 with
// the sums of a block of columns loaded and stored. Broadcasting each word from memory instead takes 1.5. The panel has
// to stay in the first-level cache, hence small blocks. Tails: tokens and columns beyond the end are zeros in the
// panel.
#pragma once

#include <cstdint>

#include "kernels/simd/gather_common.h"
#include "sparse/nm_tiles.h"
#include "sparse/tile_pairs.h"

namespace esparse::simd {
namespace {

constexpr int kPairVectors =
    2;  // with eight rows; or one with sixteen: chains enough to hide the latency of six cycles

// The number of the pair a < b among those of four columns.
constexpr int pair_number(int a, int b) { return a * (7 - a) / 2 + b - a - 1; }

// What differs from pattern to pattern: the slots of a group of columns, and where the offsets of an entry stand among
// those of a tile.
struct Pairs2of4 {
  static constexpr int kWidth = 4, kEntries = 8;
  static constexpr std::array<ColumnPair, 6> kSlots = {{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}};
  static constexpr int place(int entry, int quad) { return entry * 16 + quad * 4; }
};
template <int kept>
struct PairsOfEight {
  static constexpr int kWidth = 8, kPairs = kept / 2, kGroups = NmTilesView::kEights, kEntries = kGroups * kPairs;
  static constexpr auto kSlots = [] {
    if constexpr (kept == 2) return kAllPairs;
    if constexpr (kept == 4) return kPairsOf4;
  }();
  // [pair][row / 4][group][row % 4], as in the index of a tile
  static constexpr int place(int entry, int quad) { return entry % kPairs * 64 + quad * 16 + entry / kPairs * 4; }
};

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

// The slots of one group of columns and kLanes tokens: [slots][vectors][kLanes] words.
template <typename V, typename Pairs>
inline void expand_group(const uint32_t* packed, int64_t slot, uint32_t* panel) {
  typename V::I low[Pairs::kWidth],
      high[Pairs::kWidth];  // of every column, where it is the first, the second of a pair
#pragma GCC unroll 4
  for (int c = 0; c < Pairs::kWidth; c += 2) {
    const auto words = V::load_words(packed + c / 2 * slot);
    low[c] = high[c + 1] = words;
    low[c + 1] = V::template shift_right<16>(words);
    high[c] = V::template shift_left<16>(words);
  }
#pragma GCC unroll 28
  for (const ColumnPair pair : Pairs::kSlots) {
    V::store_words(panel, V::merge_halves(low[pair.first], high[pair.second]));
    panel += slot;
  }
}

template <typename V, typename Pairs>
void expand_pairs(const std::byte* packed, int64_t columns, int64_t vectors, std::byte* panel) {
  constexpr int kWidth = Pairs::kWidth;
  const auto* source = reinterpret_cast<const uint32_t*>(packed);
  auto* target = reinterpret_cast<uint32_t*>(panel);
  const int64_t slot = vectors * V::kLanes;
  for (int64_t column = 0; column < columns; column += kWidth)
    for (int64_t token = 0; token < slot; token += V::kLanes)
      expand_group<V, Pairs>(source + column / 2 * slot + token, slot,
                             target + column / kWidth * static_cast<int64_t>(Pairs::kSlots.size()) * slot + token);
}

template <typename V>
void list_pairs(const std::byte* tiles, int64_t count, int64_t slot_bytes, uint16_t* offsets) {
  constexpr int64_t kTileBytes = NmTilesView::kIndexBytes + Pairs2of4::kEntries * 64;
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
      base += static_cast<uint32_t>(Pairs2of4::kSlots.size()) * slot;
      offsets += V::kLanes;
    }
  }
}

// The number of a pattern -> the slot of each of its pairs.
template <int kept>
struct EightSlots {
  uint8_t slot[kept / 2][128] = {};
};
template <int kept>
constexpr EightSlots<kept> make_eight_slots() {
  EightSlots<kept> result;
  const PairPatterns& patterns = pair_patterns(kept);
  for (int number = 0; number < patterns.patterns; ++number)
    for (int k = 0; k < kept / 2; ++k)
      for (const ColumnPair& slot : PairsOfEight<kept>::kSlots)
        if (slot == patterns.pairs[number][k])
          result.slot[k][number] = static_cast<uint8_t>(&slot - PairsOfEight<kept>::kSlots.data());
  return result;
}
template <int kept>
alignas(64) constexpr EightSlots<kept> kEightSlots = make_eight_slots<kept>();

template <typename V, int kept>
void list_eights(const std::byte* tiles, int64_t count, int64_t slot_bytes, uint16_t* offsets) {
  using Pairs = PairsOfEight<kept>;
  constexpr int64_t kTileBytes = NmTilesView::kIndexBytes + Pairs::kEntries * 64;
  const int64_t group_bytes = static_cast<int64_t>(Pairs::kSlots.size()) * slot_bytes;
  for (int64_t t = 0; t < count; ++t) {
    const auto numbers = V::load_words(tiles + t * kTileBytes);
    for (int k = 0; k < Pairs::kPairs; ++k, offsets += 64) {
      alignas(64) uint8_t slots[64];
      V::store_words(reinterpret_cast<uint32_t*>(slots), V::lookup_bytes(kEightSlots<kept>.slot[k], numbers));
      for (int i = 0; i < 64; ++i)
        offsets[i] = static_cast<uint16_t>(slots[i] * slot_bytes + (t * Pairs::kGroups + i / 4 % 4) * group_bytes);
    }
  }
}

// Four rows of one entry: `words` has their weights in every four lanes.
template <typename V, int vectors>
inline void add_quad(typename V::I words, const uint16_t* offsets, const std::byte* panel,
                     typename V::F (*acc)[vectors]) {
  uint64_t places;  // one load for four
  std::memcpy(&places, offsets, sizeof(places));
  const typename V::I weights[4] = {V::template spread_word<0>(words), V::template spread_word<1>(words),
                                    V::template spread_word<2>(words), V::template spread_word<3>(words)};
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    const std::byte* slot = panel + (places >> (16 * r) & 0xffff);
#pragma GCC unroll 2
    for (int z = 0; z < vectors; ++z) V::add_dot_pairs(acc[r][z], weights[r], slot + z * V::kLanes * 4);
  }
}

// The rows of `quads` quads, from `quad` on, of `count` tiles. A function of its own, or else g++ 12 keeps sums in
// memory.
template <typename V, typename Pairs, int vectors, int quad, int quads>
[[gnu::noinline]] void multiply_quads(const std::byte* tiles, int64_t count, const uint16_t* offsets,
                                      const std::byte* panel, bool first, float* sums) {
  constexpr int kRows = 4 * quads;
  typename V::F acc[kRows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int z = 0; z < vectors; ++z) acc[r][z] = first ? V::zero() : V::load(sums + (r * vectors + z) * V::kLanes);
  for (int64_t t = 0; t < count; ++t) {
    tiles += NmTilesView::kIndexBytes;
#pragma GCC unroll 8
    for (int e = 0; e < Pairs::kEntries; ++e, tiles += 64) {
      const auto words = V::load_words(tiles);
      add_quad<V, vectors>(V::template spread_quad<quad>(words), offsets + Pairs::place(e, quad), panel, acc);
      add_quad<V, vectors>(V::template spread_quad<quad + 1>(words), offsets + Pairs::place(e, quad + 1), panel,
                           acc + 4);
      if constexpr (quads == 4) {
        add_quad<V, vectors>(V::template spread_quad<2>(words), offsets + Pairs::place(e, 2), panel, acc + 8);
        add_quad<V, vectors>(V::template spread_quad<3>(words), offsets + Pairs::place(e, 3), panel, acc + 12);
      }
    }
    offsets += Pairs::kEntries * NmTilesView::kRows;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int z = 0; z < vectors; ++z) V::store(sums + (r * vectors + z) * V::kLanes, acc[r][z]);
}

template <typename V, typename Pairs, int vectors>
void multiply_pairs_block(const PairTiles& rows, const GatherPanel& packed, const std::byte* panel, bool first,
                          float* sums) {
  constexpr int64_t kSums = NmTilesView::kRows * vectors * V::kLanes;
  FetchAhead<V> ahead(packed, rows.blocks, 1);
  for (int64_t block = 0; block < rows.blocks; ++block, sums += kSums) {
    const std::byte* tiles = rows.tiles + block * rows.block_bytes;
    const uint16_t* offsets = rows.offsets + block * rows.count * Pairs::kEntries * NmTilesView::kRows;
    ahead.step();
    if constexpr (vectors == 1) {
      multiply_quads<V, Pairs, vectors, 0, 4>(tiles, rows.count, offsets, panel, first, sums);
    } else {
      multiply_quads<V, Pairs, vectors, 0, 2>(tiles, rows.count, offsets, panel, first, sums);
      multiply_quads<V, Pairs, vectors, 2, 2>(tiles, rows.count, offsets, panel, first, sums + kSums / 2);
    }
  }
}

template <typename V, typename Pairs>
void multiply_pairs(const PairTiles& rows, const GatherPanel& packed, const std::byte* panel, int64_t vectors,
                    bool first, float* sums) {
  if (vectors == 1) return multiply_pairs_block<V, Pairs, 1>(rows, packed, panel, first, sums);
  multiply_pairs_block<V, Pairs, 2>(rows, packed, panel, first, sums);
}

template <typename V, typename Pairs>
constexpr PairProduct make_pair_product(void (*list)(const std::byte*, int64_t, int64_t, uint16_t*)) {
  static_assert(V::kHasPairs && V::kLanes == NmTilesView::kRows);
  return {
      .shape =
          {
              .lanes = V::kLanes,
              .max_vectors = kPairVectors,
              .max_blocks = 16,
              .cache_bytes = 24 << 10,  // of 32 KiB in the first-level cache
              .panel_bytes = static_cast<int64_t>(Pairs::kSlots.size()) * 4 / Pairs::kWidth,
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
      .tile_offsets = Pairs::kEntries * NmTilesView::kRows,
      .expand = expand_pairs<V, Pairs>,
      .list = list,
      .multiply = multiply_pairs<V, Pairs>,
  };
}

template <typename V>
constexpr PairProducts make_gather_pairs() {
  return {.of_2_4 = make_pair_product<V, Pairs2of4>(list_pairs<V>),
          .of_2_8 = make_pair_product<V, PairsOfEight<2>>(list_eights<V, 2>),
          .of_4_8 = make_pair_product<V, PairsOfEight<4>>(list_eights<V, 4>)};
}

}  // namespace
}  // namespace esparse::simd

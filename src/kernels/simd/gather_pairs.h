// Gather product in pairs of bf16 (kernels/gather_kernels.h): y[row] += w0 * x[c0] + w1 * x[c1] in one instruction,
// tokens in the lanes. V has dot_pairs().
//
// Weights: bf16, tiles of 2:4 or rows with a bit per column. Activations are ROUNDED TO bf16; sums are f32.
// Panel, 64-byte aligned: four columns of 2:4 become their six pairs 01 02 03 12 13 23; eight columns of any mask
// become 28 pairs and 8 single columns (the last of an odd number); u32 words, c0 in the low half. Accumulation: one
// chain of dot_pairs for every output, ascending columns. Cost: half a broadcast, half a scalar load and one dot_pairs
// with a memory operand for 16 tokens and a kept pair. Fourteen rows walk the columns side by side, so that the panel,
// which only the second-level cache holds, comes to the first level once for all of them. Tails: tokens and columns
// beyond the end are zeros in the panel.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/simd/gather_common.h"
#include "sparse/nm_tiles.h"

namespace esparse::simd {
namespace {

constexpr int kPairRows = 14;  // 14 x 2 accumulators and a broadcast of 32 registers
constexpr int kPairVectors = 2;
constexpr int kTilePairs = 6, kBytePairs = 28, kByteSlots = 36;

// The number of the pair a < b among those of `width` columns.
constexpr int pair_number(int a, int b, int width) { return a * (2 * width - a - 1) / 2 + b - a - 1; }

// For every eight bits the slots of its entries: pairs of neighbours, at last a single column; one in a byte.
constexpr std::array<uint32_t, 256> make_pair_slots() {
  std::array<uint32_t, 256> table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    int entry = 0, open = -1;
    for (int bit = 0; bit < 8; ++bit) {
      if ((mask >> bit & 1) == 0) continue;
      if (open < 0) {
        open = bit;
        continue;
      }
      table[mask] |= static_cast<uint32_t>(pair_number(open, bit, 8)) << (8 * entry++);
      open = -1;
    }
    if (open >= 0) table[mask] |= static_cast<uint32_t>(kBytePairs + open) << (8 * entry);
  }
  return table;
}
constexpr auto kPairSlots = make_pair_slots();

// The slots of `width` columns of kLanes tokens; `slot` words from one slot to the next.
template <typename V, int width, bool singles>
inline void expand_pairs(const typename V::I* columns, int64_t slot, uint32_t* target) {
#pragma GCC unroll 8
  for (int a = 0; a < width; ++a)
#pragma GCC unroll 8
    for (int b = a + 1; b < width; ++b)
      V::store_words(target + pair_number(a, b, width) * slot, V::pair_words(columns[a], columns[b]));
  if constexpr (singles)
    for (int c = 0; c < width; ++c) V::store_words(target + (kBytePairs + c) * slot, columns[c]);
}

template <typename V, int width, int slots>
void pack_pairs(const float* x, int64_t x_stride, int64_t tokens, int64_t columns, int64_t block_columns,
                int64_t vectors, std::byte* panel) {
  constexpr int kLanes = V::kLanes;
  auto* target = reinterpret_cast<uint32_t*>(panel);
  const int64_t slot = vectors * kLanes, zero_slot = block_columns / width * slots;
  for (int64_t token = 0; token < slot; token += kLanes) {
    for (int64_t column = 0; column < block_columns; column += kLanes) {
      typename V::F lanes[kLanes];
      load_columns<V>(x + token * x_stride + column, x_stride, tokens - token, columns - column, lanes);
      typename V::I halves[kLanes];
      for (int c = 0; c < kLanes; ++c) halves[c] = V::round_bf16(lanes[c]);
      for (int c = 0; c < kLanes; c += width)
        expand_pairs<V, width, slots == kByteSlots>(halves + c, slot,
                                                    target + (column + c) / width * slots * slot + token);
    }
    V::store_words(target + zero_slot * slot + token, V::broadcast_word(0));
  }
}

template <typename V>
void list_tile_pairs(DType, const std::byte* tiles, int64_t count, int64_t slot_bytes, uint32_t* words,
                     uint32_t* offsets) {
  static_assert(V::kLanes == 16);
  constexpr int64_t kTileBytes = 64 + NmTilesView::kGroups * 64;
  const auto slot = static_cast<uint32_t>(slot_bytes);
  uint32_t slots[16] = {};  // by i0 | i1 << 2
  for (int a = 0; a < 4; ++a)
    for (int b = a + 1; b < 4; ++b) slots[a | b << 2] = static_cast<uint32_t>(pair_number(a, b, 4)) * slot;
  const auto slot_of_code = V::load_words(slots);
  for (int64_t t = 0; t < count; ++t) {
    const std::byte* tile = tiles + t * kTileBytes;
    for (int64_t byte = 0; byte < kTileBytes; byte += 64) V::prefetch(tile + count * kTileBytes + byte);
    auto index = V::load_words(tile);
    auto base = static_cast<uint32_t>(t * NmTilesView::kGroups) * kTilePairs * slot;
    for (int g = 0; g < NmTilesView::kGroups; ++g) {
      V::store_words(words, V::load_words(tile + 64 + g * 64));
      V::store_words(offsets, V::add_words(V::lookup16(slot_of_code, index), V::broadcast_word(base)));
      index = V::template shift_right<4>(index);
      base += kTilePairs * slot;
      words += 32;
      offsets += 32;
    }
  }
}

inline ListCount list_pair_row(const std::byte* values, int64_t readable, const uint8_t* mask, int64_t mask_bytes,
                               uint32_t slot_bytes, uint32_t* words, uint32_t* offsets) {
  int64_t kept = 0, entries = 0;
  uint32_t base = 0;
  for (int64_t i = 0; i < mask_bytes; ++i) {
    const int here = __builtin_popcount(mask[i]);
    const uint32_t slots = kPairSlots[mask[i]];
    uint32_t pairs[4] = {};
    if (kept + 8 <= readable) {
      std::memcpy(pairs, values + kept * 2, sizeof(pairs));
    } else {
      std::memcpy(pairs, values + kept * 2, static_cast<size_t>(here) * 2);
    }
    for (int k = 0; k < 4; ++k) offsets[entries + k] = base + (slots >> (8 * k) & 255) * slot_bytes;
    std::memcpy(words + entries, pairs, sizeof(pairs));
    if (here % 2 == 1) words[entries + here / 2] &= 0xffff;
    kept += here;
    entries += (here + 1) / 2;
    base += kByteSlots * slot_bytes;
  }
  return {entries, kept};
}

inline void list_bit_pairs(const GatherRows& source, int64_t slot_bytes, int64_t zero_slot, const GatherLists& lists) {
  const auto slot = static_cast<uint32_t>(slot_bytes), zeros = static_cast<uint32_t>(zero_slot * slot_bytes);
  list_rows<kPairRows>(
      source, 2, zeros, lists,
      [&](const std::byte* values, int64_t readable, const uint8_t* mask, uint32_t* words, uint32_t* offsets) {
        return list_pair_row(values, readable, mask, source.mask_bytes, slot, words, offsets);
      });
}

// kPairRows lists at once. Of tiles, the first `split` rows stand in one row of tiles and the others at the beginning
// of the next, `second`; of rows, all stand `row_step` apart.
template <typename V, int vectors, int split, bool tiled>
inline void multiply_pair_rows(const GatherLists& lists, int64_t at, int64_t second, int64_t entries,
                               const std::byte* panel, bool first, float* sums) {
  constexpr int kStep = tiled ? 32 : 1;
  const int64_t row_step = tiled ? 1 : 2 * lists.row_step;
  const uint32_t* words = lists.words + at;
  const uint32_t* offsets = lists.offsets + at;
  const uint32_t* more_words = lists.words + second;
  const uint32_t* more_offsets = lists.offsets + second;
  typename V::F acc[kPairRows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < kPairRows; ++r)
#pragma GCC unroll 16
    for (int z = 0; z < vectors; ++z) acc[r][z] = first ? V::zero() : V::load(sums + (r * vectors + z) * V::kLanes);
  for (int64_t e = 0; e < entries; ++e) {
#pragma GCC unroll 16
    for (int r = 0; r < kPairRows; ++r) {
      const bool here = r < split;
      const int64_t place = (here ? r : r - split) * row_step + e * kStep;
      const auto weight = V::broadcast_word(here ? words[place] : more_words[place]);
      const std::byte* slot = panel + (here ? offsets[place] : more_offsets[place]);
#pragma GCC unroll 16
      for (int z = 0; z < vectors; ++z)
        acc[r][z] = V::dot_pairs(acc[r][z], weight, V::load_words(slot + z * V::kLanes * 4));
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kPairRows; ++r)
#pragma GCC unroll 16
    for (int z = 0; z < vectors; ++z) V::store(sums + (r * vectors + z) * V::kLanes, acc[r][z]);
}

template <typename V, int vectors>
void multiply_tile_pairs(const GatherLists& lists, int64_t row, int64_t entries, const std::byte* panel, bool first,
                         float* sums) {
  const int64_t at = lists.row_start(row), next = lists.row_start(row / 16 * 16 + 16);
  switch (16 - row % 16) {  // rows left in this tile; fourteen apart, they are even
    case 2:
      return multiply_pair_rows<V, vectors, 2, true>(lists, at, next, entries, panel, first, sums);
    case 4:
      return multiply_pair_rows<V, vectors, 4, true>(lists, at, next, entries, panel, first, sums);
    case 6:
      return multiply_pair_rows<V, vectors, 6, true>(lists, at, next, entries, panel, first, sums);
    case 8:
      return multiply_pair_rows<V, vectors, 8, true>(lists, at, next, entries, panel, first, sums);
    case 10:
      return multiply_pair_rows<V, vectors, 10, true>(lists, at, next, entries, panel, first, sums);
    case 12:
      return multiply_pair_rows<V, vectors, 12, true>(lists, at, next, entries, panel, first, sums);
    default:
      return multiply_pair_rows<V, vectors, kPairRows, true>(lists, at, at, entries, panel, first, sums);
  }
}

template <typename V, int vectors>
void multiply_pairs_block(const GatherLists& lists, int64_t rows, const GatherPanel& panel, bool first, float* sums) {
  FetchAhead<V> ahead(panel, rows, kPairRows);
  for (int64_t row = 0; row < rows; row += kPairRows) {
    ahead.step();
    int32_t entries = 0;
    for (int r = 0; r < kPairRows; ++r) entries = lists.counts[row + r] > entries ? lists.counts[row + r] : entries;
    float* target = sums + row * vectors * V::kLanes;
    const int64_t at = lists.row_start(row);
    if (lists.tiled) {
      multiply_tile_pairs<V, vectors>(lists, row, entries, panel.data, first, target);
    } else {
      multiply_pair_rows<V, vectors, kPairRows, false>(lists, at, at, entries, panel.data, first, target);
    }
  }
}

template <typename V>
void multiply_pairs(const GatherLists& lists, int64_t rows, const GatherPanel& panel, int64_t vectors, bool first,
                    float* sums) {
  if (vectors == 1) return multiply_pairs_block<V, 1>(lists, rows, panel, first, sums);
  multiply_pairs_block<V, 2>(lists, rows, panel, first, sums);
}

template <typename V>
constexpr GatherProduct make_gather_pairs(bool tiles) {
  return {
      .lanes = V::kLanes,
      .max_vectors = kPairVectors,
      .max_blocks = 8,
      .cache_bytes = tiles ? 112 << 10 : 160 << 10,  // of 1 MiB or more in the second-level cache
      .list_bytes = 32,
      .max_columns = tiles ? 512 : 256,
      .row_tile = 8 * kPairRows,
      .narrow_row_tile = 8 * kPairRows,  // the least that is whole tiles of 2:4 too
      .row_group = kPairRows,
      .group_columns = tiles ? 4 : 8,
      .group_slots = tiles ? kTilePairs : kByteSlots,
      .tile_entries = NmTilesView::kGroups,
      .pack = tiles ? pack_pairs<V, 4, kTilePairs> : pack_pairs<V, 8, kByteSlots>,
      .list_tiles = tiles ? list_tile_pairs<V> : nullptr,
      .list_bits = tiles ? nullptr : list_bit_pairs,
      .multiply = multiply_pairs<V>,
      .store = store_sums<V>,
  };
}

}  // namespace
}  // namespace esparse::simd

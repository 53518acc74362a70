// Gather product in f32 (kernels/gather_kernels.h): y[row] += w * panel[slot of w], tokens in the lanes.
//
// Weights: tiles of 2:4 or rows with a bit per column, f32, f16 or bf16, unaligned. Panel: 64-byte aligned,
// [columns + 1][vectors][kLanes] f32. Accumulation: one chain of fused multiply-adds for every output, ascending
// columns (Emulated rounds twice).
// Cost: one entry is one broadcast and one scalar load beside `vectors` multiply-adds with a memory operand. At two
// vector loads and two multiply-adds a cycle twelve vectors take 6.5 cycles where 6 are the bound; and the panel must
// stay in the first-level cache, because every multiply-add reads it. Tails: tokens and columns beyond the end are
// zeros in the panel; the caller stores what exists.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/simd/gather_common.h"
#include "sparse/nm_tiles.h"

namespace esparse::simd {
namespace {

constexpr int kRowGroup = 4;  // the most rows that rows_together() gives

template <typename V>
void pack_f32(const float* x, int64_t x_stride, int64_t tokens, int64_t columns, int64_t block_columns, int64_t vectors,
              std::byte* panel) {
  constexpr int kLanes = V::kLanes;
  auto* target = reinterpret_cast<float*>(panel);
  const int64_t slot = vectors * kLanes;
  for (int64_t token = 0; token < slot; token += kLanes) {
    for (int64_t column = 0; column < block_columns; column += kLanes) {
      typename V::F lanes[kLanes];
      load_columns<V>(x + token * x_stride + column, x_stride, tokens - token, columns - column, lanes);
      for (int c = 0; c < kLanes; ++c) V::store(target + (column + c) * slot + token, lanes[c]);
    }
    V::store(target + block_columns * slot + token, V::zero());
  }
}

// Where the two kept values of sixteen rows stand in a group of a tile, as f32.
template <typename V>
struct TileBf16 {
  static constexpr int64_t kBytes = 2;
  static void load(const std::byte* group, int lane, typename V::F& first, typename V::F& second) {
    const auto words = V::load_words(group + 4 * lane);
    first = V::bf16_low(words);
    second = V::bf16_high(words);
  }
};
template <typename V>
struct TileF16 {
  static constexpr int64_t kBytes = 2;
  static void load(const std::byte* group, int lane, typename V::F& first, typename V::F& second) {
    first = V::load_f16(group + 2 * lane);
    second = V::load_f16(group + 32 + 2 * lane);
  }
};
template <typename V>
struct TileF32 {
  static constexpr int64_t kBytes = 4;
  static void load(const std::byte* group, int lane, typename V::F& first, typename V::F& second) {
    first = V::load(group + 4 * lane);
    second = V::load(group + 64 + 4 * lane);
  }
};

// One tile, one vector of rows: 16 entries. `steps` holds 0, 1, 2, 3 slots in bytes for every four lanes.
template <typename V, typename Source>
inline void list_tile_lanes(const std::byte* tile, int lane, uint32_t base, uint32_t slot_bytes, typename V::F steps,
                            float* words, uint32_t* offsets) {
  auto index = V::load_words(tile + 4 * lane);
  const std::byte* group = tile + 64;
  for (int g = 0; g < NmTilesView::kGroups; ++g) {
    const auto start = V::broadcast_word(base);
    typename V::F first, second;
    Source::load(group, lane, first, second);
    V::store(words, first);
    V::store(words + 32, second);
    V::store_words(offsets, V::add_words(V::as_words(V::select4(steps, index)), start));
    index = V::template shift_right<2>(index);
    V::store_words(offsets + 32, V::add_words(V::as_words(V::select4(steps, index)), start));
    index = V::template shift_right<2>(index);
    words += 64;
    offsets += 64;
    group += 32 * Source::kBytes;
    base += 4 * slot_bytes;
  }
}

template <typename V, typename Source>
void list_tiles_typed(const std::byte* tiles, int64_t count, int64_t slot_bytes, uint32_t* words, uint32_t* offsets) {
  constexpr int64_t kTileBytes = 64 + NmTilesView::kGroups * 32 * Source::kBytes;
  const auto slot = static_cast<uint32_t>(slot_bytes);
  const uint32_t step_words[4] = {0, slot, 2 * slot, 3 * slot};
  float step_bits[4];
  std::memcpy(step_bits, step_words, sizeof(step_bits));
  const auto steps = V::broadcast4(step_bits);
  for (int64_t t = 0; t < count; ++t) {
    const std::byte* tile = tiles + t * kTileBytes;
    // The next block of columns will find its tiles in the cache: no hardware follows so many short runs.
    for (int64_t byte = 0; byte < kTileBytes; byte += 64) V::prefetch(tile + count * kTileBytes + byte);
    for (int lane = 0; lane < 16; lane += V::kLanes)
      list_tile_lanes<V, Source>(tile, lane, static_cast<uint32_t>(t) * 32 * slot, slot, steps,
                                 reinterpret_cast<float*>(words) + t * 512 + lane, offsets + t * 512 + lane);
  }
}

template <typename V>
void list_tiles_f32(DType dtype, const std::byte* tiles, int64_t count, int64_t slot_bytes, uint32_t* words,
                    uint32_t* offsets) {
  if (dtype == DType::bf16) return list_tiles_typed<V, TileBf16<V>>(tiles, count, slot_bytes, words, offsets);
  if (dtype == DType::f16) return list_tiles_typed<V, TileF16<V>>(tiles, count, slot_bytes, words, offsets);
  list_tiles_typed<V, TileF32<V>>(tiles, count, slot_bytes, words, offsets);
}

// One vector of kept weights.
template <typename V>
struct RowBf16 {
  static constexpr int64_t kBytes = 2;
  static typename V::F load(const std::byte* values) { return V::load_bf16(values); }
};
template <typename V>
struct RowF16 {
  static constexpr int64_t kBytes = 2;
  static typename V::F load(const std::byte* values) { return V::load_f16(values); }
};
template <typename V>
struct RowF32 {
  static constexpr int64_t kBytes = 4;
  static typename V::F load(const std::byte* values) { return V::load(values); }
};

template <typename V, typename Source>
inline ListCount list_row(const std::byte* values, int64_t readable, const uint8_t* mask, int64_t mask_bytes,
                          uint32_t slot_bytes, uint32_t* words, uint32_t* offsets) {
  constexpr int64_t kLanes = V::kLanes;
  int64_t kept = 0;
  uint32_t base = 0;
  for (int64_t i = 0; i < mask_bytes; ++i) {
    V::store_scaled_bytes(offsets + kept, kBitPlaces[mask[i]], slot_bytes, base);
    kept += __builtin_popcount(mask[i]);
    base += 8 * slot_bytes;
  }
  auto* weights = reinterpret_cast<float*>(words);
  const int64_t whole = kept + kLanes <= readable ? kept : readable - readable % kLanes;
  int64_t i = 0;
  for (; i < whole; i += kLanes) V::store(weights + i, Source::load(values + i * Source::kBytes));
  if (i < kept) {
    std::byte buffer[kLanes * 4] = {};
    std::memcpy(buffer, values + i * Source::kBytes, static_cast<size_t>((kept - i) * Source::kBytes));
    V::store(weights + i, Source::load(buffer));
  }
  return {kept, kept};
}

template <typename V, typename Source>
void list_bits_typed(const GatherRows& source, uint32_t slot_bytes, uint32_t zeros, const GatherLists& lists) {
  list_rows<kRowGroup>(
      source, Source::kBytes, zeros, lists,
      [&](const std::byte* values, int64_t readable, const uint8_t* mask, uint32_t* words, uint32_t* offsets) {
        return list_row<V, Source>(values, readable, mask, source.mask_bytes, slot_bytes, words, offsets);
      });
}

template <typename V>
void list_bits_f32(const GatherRows& source, int64_t slot_bytes, int64_t zero_slot, const GatherLists& lists) {
  const auto slot = static_cast<uint32_t>(slot_bytes), zeros = static_cast<uint32_t>(zero_slot * slot_bytes);
  if (source.dtype == DType::bf16) return list_bits_typed<V, RowBf16<V>>(source, slot, zeros, lists);
  if (source.dtype == DType::f16) return list_bits_typed<V, RowF16<V>>(source, slot, zeros, lists);
  list_bits_typed<V, RowF32<V>>(source, slot, zeros, lists);
}

// `rows` lists at once, entry by entry; their first entries stand `row_step` apart, the entries of one kEntryStep.
template <typename V, int rows, int vectors, int kEntryStep>
inline void multiply_rows(const float* words, const uint32_t* offsets, int64_t row_step, int64_t entries,
                          const std::byte* panel, bool first, float* sums) {
  typename V::F acc[rows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 16
    for (int z = 0; z < vectors; ++z) acc[r][z] = first ? V::zero() : V::load(sums + (r * vectors + z) * V::kLanes);
  for (int64_t e = 0; e < entries; ++e) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const auto weight = V::broadcast(words[r * row_step + e * kEntryStep]);
      const std::byte* slot = panel + offsets[r * row_step + e * kEntryStep];
#pragma GCC unroll 16
      for (int z = 0; z < vectors; ++z) acc[r][z] = V::fma(weight, V::load(slot + z * V::kLanes * 4), acc[r][z]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 16
    for (int z = 0; z < vectors; ++z) V::store(sums + (r * vectors + z) * V::kLanes, acc[r][z]);
}

// Rows at once: as many chains of multiply-adds as hide their latency, within the registers.
template <typename V>
constexpr int rows_together(int vectors) {
  const int chains = V::kLanes == 16 ? 16 : 12;
  return 4 * vectors <= chains ? 4 : 2 * vectors <= chains ? 2 : 1;
}

template <typename V, int vectors>
void multiply_f32_block(const GatherLists& lists, int64_t rows, const GatherPanel& panel, bool first, float* sums) {
  constexpr int kRows = rows_together<V>(vectors);
  const auto* words = reinterpret_cast<const float*>(lists.words);
  FetchAhead<V> ahead(panel, rows, kRows);
  for (int64_t row = 0; row < rows; row += kRows) {
    ahead.step();
    int32_t entries = 0;
    for (int r = 0; r < kRows; ++r) entries = lists.counts[row + r] > entries ? lists.counts[row + r] : entries;
    float* target = sums + row * vectors * V::kLanes;
    const int64_t at = lists.row_start(row);
    if (lists.tiled) {
      multiply_rows<V, kRows, vectors, 32>(words + at, lists.offsets + at, 1, entries, panel.data, first, target);
    } else {
      multiply_rows<V, kRows, vectors, 1>(words + at, lists.offsets + at, 2 * lists.row_step, entries, panel.data,
                                          first, target);
    }
  }
}

template <typename V, size_t... index>
void multiply_f32_any(const GatherLists& lists, int64_t rows, const GatherPanel& panel, int64_t vectors, bool first,
                      float* sums, std::index_sequence<index...>) {
  using Block = void (*)(const GatherLists&, int64_t, const GatherPanel&, bool, float*);
  static constexpr Block kBlocks[] = {multiply_f32_block<V, static_cast<int>(index) + 1>...};
  kBlocks[vectors - 1](lists, rows, panel, first, sums);
}

template <typename V>
inline constexpr int64_t kMaxVectorsF32 = V::kLanes == 16 ? 8 : 12;

template <typename V>
void multiply_f32(const GatherLists& lists, int64_t rows, const GatherPanel& panel, int64_t vectors, bool first,
                  float* sums) {
  multiply_f32_any<V>(lists, rows, panel, vectors, first, sums, std::make_index_sequence<kMaxVectorsF32<V>>());
}

template <typename V>
constexpr GatherProduct make_gather_f32() {
  return {
      .lanes = V::kLanes,
      .max_vectors = kMaxVectorsF32<V>,
      .max_blocks = 6,
      // Of 32 KiB (AVX2) or 48 KiB (AVX-512) in the first-level cache; sums stream through the rest.
      .cache_bytes = V::kLanes == 16 ? 40 << 10 : 28 << 10,
      .list_bytes = 64,  // sixteen rows of tiles at half density
      .max_columns = 256,
      .row_tile = 128,
      .narrow_row_tile = 64,
      .row_group = kRowGroup,
      .tile_entries = NmTilesView::kGroups * NmTilesView::kKept,
      .pack = pack_f32<V>,
      .list_tiles = list_tiles_f32<V>,
      .list_bits = list_bits_f32<V>,
      .multiply = multiply_f32<V>,
      .store = store_sums<V>,
  };
}

}  // namespace
}  // namespace esparse::simd

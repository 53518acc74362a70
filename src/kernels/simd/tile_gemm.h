// The loops of kernels/tile_gemm.h, over a vector type V with kHasPairs: bf16 tiles, x ROUNDED TO BF16.
//
// A step is sixteen rows x one entry (two kept weights a row) x one token: a shuffle picks the pair of inputs of every
// row, a dot product of pairs adds it. Which bytes to pick, the control, is made once a tile and serves all tokens.
//   2:4   packed x [group of 4][token] 8 bytes: a load repeats them in every two lanes, the shuffle is one of bytes
//   N:8   packed x [group of 8][token] 16 bytes: a load brings four tokens, the shuffle is one of halves of words
//   across the
//         vector; the control of the tokens beside the first is the first's + 8, 16, 24
// Accumulation: one chain of dot_pairs for every output. The sums of a chunk of tokens stay in registers over a run of
// tiles.
// Cost, Zen 4: the dot product has two of four ports, the shuffle one of these and a third: 4/3 cycles a step is the
// bound, 1.36 measured from twelve tokens on (up to 2.0 with controls made between the steps, which upsets the
// distribution among the ports). Dense: one cycle, on twice as many weights. Tails: tokens and columns beyond the end
// are zeros.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/simd/few_tile_eights.h"
#include "kernels/simd/few_tile_pairs.h"

namespace esparse::simd {
namespace {

// TileGemmKernel::pack: `width` columns of one token stand together.
template <typename V, int width>
void pack_groups(const float* x, int64_t x_stride, int64_t tokens, int64_t columns, int64_t block_columns,
                 int64_t chunk, std::byte* packed) {
  constexpr int kStep = V::kLanes, kGroupBytes = 2 * width;
  // Token after token: what belongs together in `packed` is written together.
  for (int64_t column = 0; column < block_columns; column += kStep)
    for (int64_t token = 0; token < chunk; ++token) {
      std::byte halves[2 * kStep] = {};
      const int64_t left = token < tokens ? columns - column : 0;
      if (left >= kStep) {
        V::store_bf16(halves, V::load(x + token * x_stride + column));
      } else if (left > 0) {
        float padded[kStep] = {};
        std::memcpy(padded, x + token * x_stride + column, static_cast<size_t>(left) * sizeof(float));
        V::store_bf16(halves, V::load(padded));
      }
      for (int c = 0; c < kStep; c += width)
        std::memcpy(packed + ((column + c) / width * chunk + token) * kGroupBytes, halves + 2 * c, kGroupBytes);
    }
}

// The tile that the next run has in this place: no hardware follows so many short streams.
template <typename V, int64_t tile_bytes>
inline void fetch_next_tile(const std::byte* tile, int64_t count) {
  for (int64_t byte = 0; byte < tile_bytes; byte += 64) V::prefetch_second_level(tile + count * tile_bytes + byte);
}

template <typename V>
struct RowTiles2of4 {
  static constexpr int kEntries = kTileGroups, kTileBytes = kTileIndexBytes + kEntries * 64;
  static constexpr int kMaxTokens = 24, kTokenStep = 1;

  static void control(const std::byte* tiles, int64_t count, std::byte* controls) {
    const auto table = V::load_words(kPairShuffles.word);
    for (int64_t t = 0; t < count; ++t, tiles += kTileBytes) {
      fetch_next_tile<V, kTileBytes>(tiles, count);
      auto index = V::load_words(tiles);
      for (int e = 0; e < kEntries; ++e, controls += 64) {
        V::store_words(reinterpret_cast<uint32_t*>(controls), V::lookup16(table, index));
        index = V::template shift_right<4>(index);
      }
    }
  }

  template <int tokens>
  static void add_tile(const std::byte* words, const std::byte* controls, const std::byte* x,
                       typename V::F (&sums)[tokens]) {
    for (int e = 0; e < kEntries; ++e, words += 64, controls += 64, x += 8 * tokens) {
      const auto weights = V::load_words(words), control = V::load_words(controls);
#pragma GCC unroll 24
      for (int t = 0; t < tokens; ++t)
        sums[t] = V::dot_pairs(sums[t], weights, V::shuffle_bytes(V::broadcast8(x + 8 * t), control));
    }
  }
};

template <typename V, int kept>
struct RowTilesOfEight {
  static constexpr int kPairs = kept / 2, kEntries = NmTilesView::kEights * kPairs;
  static constexpr int kTileBytes = kTileIndexBytes + kEntries * 64;
  // Four controls for every pair, the sums, the weights and a little more in 32 registers.
  static constexpr int kMaxTokens = kPairs == 1 ? 20 : kPairs == 2 ? 16 : 12, kTokenStep = 4;

  static void control(const std::byte* tiles, int64_t count, std::byte* controls) {
    for (int64_t t = 0; t < count; ++t, tiles += kTileBytes, controls += kEntries * 64) {
      fetch_next_tile<V, kTileBytes>(tiles, count);
      const auto numbers = V::load_words(tiles);
      for (int k = 0; k < kPairs; ++k) {
        // Columns instead of bytes: the tables have twice the column.
        const auto zero = V::broadcast_word(0);
        const auto first = V::lookup_bytes(kEightPlaces<kept>.first[k], numbers);
        const auto second = V::lookup_bytes(kEightPlaces<kept>.second[k], numbers);
        const typename V::I firsts[2] = {V::zip_bytes_low(first, zero), V::zip_bytes_high(first, zero)};
        const typename V::I seconds[2] = {V::zip_bytes_low(second, zero), V::zip_bytes_high(second, zero)};
        for (int group = 0; group < NmTilesView::kEights; ++group) {
          const auto words = group % 2 == 0 ? V::zip_halves_low(firsts[group / 2], seconds[group / 2])
                                            : V::zip_halves_high(firsts[group / 2], seconds[group / 2]);
          V::store_words(reinterpret_cast<uint32_t*>(controls + (group * kPairs + k) * 64),
                         V::template shift_right<1>(words));
        }
      }
    }
  }

  template <int tokens>
  static void add_tile(const std::byte* words, const std::byte* controls, const std::byte* x,
                       typename V::F (&sums)[tokens]) {
    for (int group = 0; group < NmTilesView::kEights; ++group, x += 16 * tokens) {
      typename V::I weights[kPairs], control[kPairs][4];
#pragma GCC unroll 3
      for (int k = 0; k < kPairs; ++k, words += 64, controls += 64) {
        weights[k] = V::load_words(words);
        control[k][0] = V::load_words(controls);
#pragma GCC unroll 3
        for (uint32_t t = 1; t < 4; ++t)
          control[k][t] = V::add_words(control[k][0], V::broadcast_word(t * 0x00080008u));
      }
#pragma GCC unroll 5
      for (int quad = 0; quad < tokens; quad += 4) {
        const auto inputs = V::load_words(x + 16 * quad);
#pragma GCC unroll 4
        for (int t = 0; t < 4; ++t)
#pragma GCC unroll 3
          for (int k = 0; k < kPairs; ++k)
            sums[quad + t] = V::dot_pairs(sums[quad + t], weights[k], V::pick_halves(inputs, control[k][t]));
      }
    }
  }
};

// A function of its own, so that the sums stay in registers.
template <typename V, typename Tiles, int tokens>
[[gnu::noinline]] void multiply_run(const TileRun& run) {
  typename V::F sums[tokens];
#pragma GCC unroll 24
  for (int t = 0; t < tokens; ++t) sums[t] = run.first ? V::zero() : V::load(run.sums + t * kTileRows);
  const std::byte *tile = run.tiles, *controls = run.controls, *x = run.x;
  for (int64_t count = run.count; count > 0; --count) {
    Tiles::add_tile(tile + kTileIndexBytes, controls, x, sums);
    tile += Tiles::kTileBytes;
    controls += Tiles::kEntries * 64;
    x += 2 * kTileColumns * tokens;
  }
#pragma GCC unroll 24
  for (int t = 0; t < tokens; ++t) V::store(run.sums + t * kTileRows, sums[t]);
}

template <typename V, typename Tiles, int... steps>
void multiply_any_run(const TileRun& run, std::integer_sequence<int, steps...>) {
  static constexpr void (*kRuns[])(const TileRun&) = {multiply_run<V, Tiles, (steps + 1) * Tiles::kTokenStep>...};
  kRuns[run.tokens / Tiles::kTokenStep - 1](run);
}

template <typename V, typename Tiles>
void multiply_run_of(const TileRun& run) {
  multiply_any_run<V, Tiles>(run, std::make_integer_sequence<int, Tiles::kMaxTokens / Tiles::kTokenStep>());
}

template <typename V, typename Tiles, int width>
constexpr TileGemmKernel make_tile_gemm_kernel() {
  return {Tiles::kMaxTokens,     Tiles::kTokenStep, Tiles::kEntries,
          pack_groups<V, width>, Tiles::control,    multiply_run_of<V, Tiles>};
}

template <typename V>
constexpr TileGemmKernels make_tile_gemm_kernels() {
  static_assert(V::kHasPairs && V::kLanes == kTileRows);
  return {.of_2_4 = make_tile_gemm_kernel<V, RowTiles2of4<V>, 4>(),
          .of_2_8 = make_tile_gemm_kernel<V, RowTilesOfEight<V, 2>, 8>(),
          .of_4_8 = make_tile_gemm_kernel<V, RowTilesOfEight<V, 4>, 8>(),
          .of_6_8 = make_tile_gemm_kernel<V, RowTilesOfEight<V, 6>, 8>()};
}

}  // namespace
}  // namespace esparse::simd

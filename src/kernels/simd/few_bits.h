// Rows of kept values with a bitmask times a few tokens, as templates over a vector type V (simd/avx2.h) and an element
// type E of the weights.
//
// A step is E's number of columns at once: its bits say how many of the row's next values it takes. Every output is one
// vector of partial sums that goes through the steps in order, then the sum of its lanes; so its bits depend neither on
// the other tokens and rows of the call nor on the way taken:
//   1 or 2 tokens   weights are multiplied as they are expanded
//   more            a strip of columns is expanded to f32 and multiplied with all tokens while it is in the L1 cache
// Four rows go in step, which covers the latencies and lets a vector of x serve four times. They are a quarter of the
// piece apart: each is a long stream of its own for the prefetcher of the processor (on two cores of a Zen 3, 50 %
// kept: 28 GB/s against 20 with four neighbours). An expansion reads as many values as a step has columns; steps so
// near the end of the matrix that this would go beyond it, and the incomplete last step of a row, read through a small
// buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/bit_kernels.h"

namespace esparse::simd {

inline constexpr int kBitRows = 4;

// Element types: the bytes of a value, and how a step of so many vectors is expanded.
struct BitsF32 {
  static constexpr int kBytes = 4;
  static constexpr bool kPairs = false;
  template <typename V>
  static typename V::F expand(const std::byte* values, uint32_t mask) {
    return V::expand_f32(values, mask);
  }
};
struct BitsF16 {
  static constexpr int kBytes = 2;
  static constexpr bool kPairs = false;
  template <typename V>
  static typename V::F expand(const std::byte* values, uint32_t mask) {
    return V::expand_f16(values, mask);
  }
};
struct BitsBf16 {
  static constexpr int kBytes = 2;
  static constexpr bool kPairs = false;
  template <typename V>
  static typename V::F expand(const std::byte* values, uint32_t mask) {
    return V::expand_bf16(values, mask);
  }
};
struct BitsBf16Pairs {  // two vectors a step: even columns in the first, odd ones in the second
  static constexpr int kBytes = 2;
  static constexpr bool kPairs = true;
};

// One vector a step, or two where a vector has fewer columns than a byte has bits.
template <typename V, typename E>
inline constexpr int kStepVectors = E::kPairs || V::kLanes < 8 ? 2 : 1;

template <typename V, typename E>
void expand_step(const std::byte* values, uint32_t mask, typename V::F* weights) {
  if constexpr (E::kPairs) {
    const typename V::I pairs = V::expand_bf16_pairs(values, mask);
    weights[0] = V::bf16_low(pairs);
    weights[1] = V::bf16_high(pairs);
  } else if constexpr (kStepVectors<V, E> == 2) {
    const uint32_t low = mask & ((1u << V::kLanes) - 1);
    weights[0] = E::template expand<V>(values, low);
    weights[1] = E::template expand<V>(values + __builtin_popcount(low) * E::kBytes, mask >> V::kLanes);
  } else {
    weights[0] = E::template expand<V>(values, mask);
  }
}

// Walks along one row.
template <typename V, typename E>
struct BitCursor {
  static constexpr int kVectors = kStepVectors<V, E>;
  static constexpr int kColumns = V::kLanes * kVectors;
  static constexpr int kMaskBytes = kColumns / 8;
  static constexpr int kReadBytes = kColumns * E::kBytes;

  const std::byte* values;
  const uint8_t* bits;

  // The next step, all of whose columns exist and whose reads stay inside the matrix.
  void next(typename V::F* weights) {
    uint32_t mask = 0;
    std::memcpy(&mask, bits, kMaskBytes);
    expand_step<V, E>(values, mask, weights);
    values += static_cast<uint64_t>(__builtin_popcountll(mask)) * E::kBytes;  // 64 bits: nothing to extend
    bits += kMaskBytes;
  }
  // Any step: reads no values from `values_end` on and no bits from `bits_end` on, and takes both for zeros.
  void next_near_end(const std::byte* values_end, const uint8_t* bits_end, typename V::F* weights) {
    uint32_t mask = 0;
    for (int i = 0; i < kMaskBytes && bits + i < bits_end; ++i) mask |= static_cast<uint32_t>(bits[i]) << (8 * i);
    std::byte buffer[kReadBytes] = {};
    const int64_t left = values_end - values;
    std::memcpy(buffer, values, static_cast<size_t>(left < kReadBytes ? left : kReadBytes));
    expand_step<V, E>(buffer, mask, weights);
    values += __builtin_popcountll(mask) * E::kBytes;
    bits += kMaskBytes;
  }
};

// How many leading steps of a row next() can do. `row_values_end` is the end of the row's own values.
template <typename V, typename E>
int64_t plain_steps(const uint8_t* bits, int64_t in_features, const std::byte* row_values_end,
                    const std::byte* values_end) {
  using Cursor = BitCursor<V, E>;
  int64_t steps = in_features / Cursor::kColumns;
  int64_t behind = values_end - row_values_end;  // bytes of values behind the start of step `steps`, at least
  for (; steps > 0 && behind < Cursor::kReadBytes; --steps)
    for (int i = 0; i < Cursor::kMaskBytes; ++i)
      behind += __builtin_popcount(bits[(steps - 1) * Cursor::kMaskBytes + i]) * E::kBytes;
  return steps;
}

// Four rows of a piece, a quarter of it apart; where there are no four, the last one stands in for the missing.
template <typename V, typename E>
struct BitQuad {
  using Cursor = BitCursor<V, E>;
  Cursor row[kBitRows];
  const uint8_t* bits_end[kBitRows];
  const std::byte* values_end;
  int64_t plain = 0;  // steps that next() can do in all four rows
  int64_t steps = 0;

  BitQuad(const BitRowsPiece& piece, int64_t first, int64_t apart) : values_end(piece.values_end) {
    const int64_t bits_bytes = (piece.in_features + 7) / 8;
    steps = (piece.in_features + Cursor::kColumns - 1) / Cursor::kColumns;
    plain = steps;
    for (int r = 0; r < kBitRows; ++r) {
      int64_t at = first + r * apart;
      if (at >= piece.rows) at = piece.rows - 1;
      row[r] = {piece.row_values[at], piece.bitmask + at * bits_bytes};
      bits_end[r] = row[r].bits + bits_bytes;
      const int64_t own = plain_steps<V, E>(row[r].bits, piece.in_features, piece.row_values[at + 1], values_end);
      if (own < plain) plain = own;
    }
  }
  template <bool near_end>
  void next(int r, typename V::F* weights) {
    if constexpr (near_end) {
      row[r].next_near_end(values_end, bits_end[r], weights);
    } else {
      row[r].next(weights);
    }
  }
};

// sums[r][t] += weights of steps [first, last) x tokens; a single token or two.
template <bool near_end, int tokens, typename V, typename E>
void multiply_steps(BitQuad<V, E>& quad, int64_t first, int64_t last, const FewTokens& few,
                    typename V::F (&sums)[kBitRows][tokens]) {
  constexpr int kVectors = kStepVectors<V, E>;
  BitQuad<V, E> at = quad;  // copies of our own stay in registers
  typename V::F partial[kBitRows][tokens];
  for (int r = 0; r < kBitRows; ++r)
    for (int t = 0; t < tokens; ++t) partial[r][t] = sums[r][t];
  for (int64_t step = first; step < last; ++step) {
    typename V::F x[tokens][kVectors];
    for (int t = 0; t < tokens; ++t)
      for (int v = 0; v < kVectors; ++v)
        x[t][v] = V::load(few.x + t * few.x_stride + (step * kVectors + v) * V::kLanes);
    for (int r = 0; r < kBitRows; ++r) {
      typename V::F weights[kVectors];
      at.template next<near_end>(r, weights);
      for (int t = 0; t < tokens; ++t)
        for (int v = 0; v < kVectors; ++v) partial[r][t] = V::fma(weights[v], x[t][v], partial[r][t]);
    }
  }
  for (int r = 0; r < kBitRows; ++r)
    for (int t = 0; t < tokens; ++t) sums[r][t] = partial[r][t];
  quad = at;
}

// Where the sums of a quad go: row r of it is row first + r * apart of the piece.
template <typename V>
void store_sum(const BitRowsPiece& piece, const FewTokens& few, int64_t row, int64_t token, typename V::F sum) {
  if (row >= piece.rows) return;
  few.y[token * few.y_stride + row] = V::sum(sum) + (few.bias != nullptr ? few.bias[row] : 0.0f);
}

template <int tokens, typename V, typename E>
void multiply_directly(const BitRowsPiece& piece, int64_t first, int64_t apart, const FewTokens& few) {
  BitQuad<V, E> quad(piece, first, apart);
  typename V::F sums[kBitRows][tokens];
  for (int r = 0; r < kBitRows; ++r)
    for (int t = 0; t < tokens; ++t) sums[r][t] = V::zero();
  multiply_steps<false>(quad, 0, quad.plain, few, sums);
  multiply_steps<true>(quad, quad.plain, quad.steps, few, sums);
  for (int r = 0; r < kBitRows; ++r)
    for (int t = 0; t < tokens; ++t) store_sum<V>(piece, few, first + r * apart, t, sums[r][t]);
}

// A strip of four rows as f32, 4 KiB: with the strip of sixteen tokens (16 KiB) it fits the L1 cache.
inline constexpr int kStripColumns = 256;

template <typename V>
struct BitStrip {
  alignas(64) float weights[kBitRows][kStripColumns];
  alignas(64) float sums[kBitRows][16][V::kLanes];
};

// Expands the steps [first, last), no more than a strip, and asks for the values behind them.
template <bool near_end, typename V, typename E>
void expand_steps(BitQuad<V, E>& quad, int64_t first, int64_t last, BitStrip<V>& strip, int64_t strip_first) {
  constexpr int kVectors = kStepVectors<V, E>;
  BitQuad<V, E> at = quad;
  for (int r = 0; r < kBitRows; ++r)
    for (int ahead = 0; ahead < kStripColumns * E::kBytes; ahead += 64)
      V::prefetch(at.row[r].values + kStripColumns * E::kBytes / 2 + ahead);
  for (int64_t step = first; step < last; ++step)
    for (int r = 0; r < kBitRows; ++r) {
      typename V::F weights[kVectors];
      at.template next<near_end>(r, weights);
      for (int v = 0; v < kVectors; ++v)
        V::store(strip.weights[r] + ((step - strip_first) * kVectors + v) * V::kLanes, weights[v]);
    }
  quad = at;
}

// As many tokens at once as leave registers for four weights: of 16 in AVX2, of 32 in AVX-512.
template <typename V>
inline constexpr int kTileTokens = V::kLanes >= 16 ? 6 : 3;

// strip.sums of tokens [token, token + tile) and beyond += strip.weights x tokens; `vectors` vectors a row.
template <int tile, typename V>
void multiply_strip(BitStrip<V>& strip, int64_t vectors, const float* x, const FewTokens& few, int64_t token) {
  for (; token + tile <= few.tokens; token += tile) {
    typename V::F sums[kBitRows][tile];
    for (int r = 0; r < kBitRows; ++r)
      for (int t = 0; t < tile; ++t) sums[r][t] = V::load(strip.sums[r][token + t]);
    const float* from = x + token * few.x_stride;
    for (int64_t vector = 0; vector < vectors; ++vector) {
      typename V::F inputs[tile];
      for (int t = 0; t < tile; ++t) inputs[t] = V::load(from + t * few.x_stride + vector * V::kLanes);
      for (int r = 0; r < kBitRows; ++r) {
        const typename V::F weights = V::load(strip.weights[r] + vector * V::kLanes);
        for (int t = 0; t < tile; ++t) sums[r][t] = V::fma(weights, inputs[t], sums[r][t]);
      }
    }
    for (int r = 0; r < kBitRows; ++r)
      for (int t = 0; t < tile; ++t) V::store(strip.sums[r][token + t], sums[r][t]);
  }
  if constexpr (tile > 1) multiply_strip<tile - 1>(strip, vectors, x, few, token);
}

template <typename V, typename E>
void multiply_in_strips(const BitRowsPiece& piece, int64_t first, int64_t apart, const FewTokens& few) {
  constexpr int64_t kStripSteps = kStripColumns / BitCursor<V, E>::kColumns;
  BitQuad<V, E> quad(piece, first, apart);
  BitStrip<V> strip;
  for (int r = 0; r < kBitRows; ++r)
    for (int64_t t = 0; t < few.tokens; ++t) V::store(strip.sums[r][t], V::zero());
  for (int64_t step = 0; step < quad.steps; step += kStripSteps) {
    const int64_t last = step + kStripSteps < quad.steps ? step + kStripSteps : quad.steps;
    const int64_t plain = quad.plain < step ? step : quad.plain < last ? quad.plain : last;
    expand_steps<false>(quad, step, plain, strip, step);
    expand_steps<true>(quad, plain, last, strip, step);
    multiply_strip<kTileTokens<V>>(strip, (last - step) * BitCursor<V, E>::kVectors,
                                   few.x + step * BitCursor<V, E>::kColumns, few, 0);
  }
  for (int r = 0; r < kBitRows; ++r)
    for (int64_t t = 0; t < few.tokens; ++t) store_sum<V>(piece, few, first + r * apart, t, V::load(strip.sums[r][t]));
}

template <typename V, typename E>
void multiply_bits(const BitRowsPiece& piece, const FewTokens& few) {
  const int64_t apart = (piece.rows + kBitRows - 1) / kBitRows;
  for (int64_t first = 0; first < apart; ++first) {
    if (few.tokens == 1) {
      multiply_directly<1, V, E>(piece, first, apart, few);
    } else if (few.tokens == 2) {
      multiply_directly<2, V, E>(piece, first, apart, few);
    } else {
      multiply_in_strips<V, E>(piece, first, apart, few);
    }
  }
}

template <typename V>
void multiply_bits_of_any_type(const BitRowsPiece& piece, const FewTokens& few) {
  if (piece.dtype == DType::f32) return multiply_bits<V, BitsF32>(piece, few);
  if (piece.dtype == DType::f16) return multiply_bits<V, BitsF16>(piece, few);
  if constexpr (V::kHasPairs) {
    multiply_bits<V, BitsBf16Pairs>(piece, few);
  } else {
    multiply_bits<V, BitsBf16>(piece, few);
  }
}

template <typename V>
constexpr BitKernels make_bit_kernels(const char* isa) {
  return {isa, V::kHasPairs, multiply_bits_of_any_type<V>};
}

// target[0, in_features) = one row as f32, zeros where nothing is kept. `row_values_end` and `values_end` are the ends
// of the row's values and of the matrix's.
template <typename V, typename E>
void expand_row(const std::byte* values, const uint8_t* bits, int64_t in_features, const std::byte* row_values_end,
                const std::byte* values_end, float* target) {
  static_assert(!E::kPairs, "columns in their order");
  using Cursor = BitCursor<V, E>;
  Cursor at{values, bits};
  const int64_t plain = plain_steps<V, E>(bits, in_features, row_values_end, values_end);
  typename V::F weights[Cursor::kVectors];
  const auto store = [&](float* to) {
    for (int v = 0; v < Cursor::kVectors; ++v) V::store(to + v * V::kLanes, weights[v]);
  };
  int64_t column = 0;
  for (; column < plain * Cursor::kColumns; column += Cursor::kColumns) {
    at.next(weights);
    store(target + column);
  }
  for (; column < in_features; column += Cursor::kColumns) {
    at.next_near_end(values_end, bits + (in_features + 7) / 8, weights);
    float buffer[Cursor::kColumns];
    store(buffer);
    const int64_t left = in_features - column;
    std::memcpy(target + column, buffer,
                static_cast<size_t>(left < Cursor::kColumns ? left : Cursor::kColumns) * sizeof(float));
  }
}

}  // namespace esparse::simd

// Rows of kept values with a bitmask times a few tokens, as templates over a vector type V (simd/avx2.h) and an element
// type E of the weights (BitsF32<V> and so on).
//
// A step is E's number of columns at once: its bits say how many of the row's next values it takes. Every output is one
// vector of partial sums that goes through the steps in order, then the sum of its lanes; so its bits depend neither on
// the other tokens and rows of the call nor on the way taken:
//   1 or 2 tokens   weights are multiplied as they are expanded
//   more            a strip of columns is expanded and multiplied with all tokens while it is in the L1 cache
// Some rows go in step, which covers the latencies and lets a vector of x serve for each. They stand far apart in the
// piece: each is a long stream of its own for the prefetcher of the processor (four rows, two cores of a Zen 3, 50 %
// kept: 28 GB/s against 20 with four neighbours). An expansion reads as many values as it has columns; steps so near
// the end of the matrix that this would go beyond it, and the incomplete last step of a row, read through a small
// buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/bit_kernels.h"

namespace esparse::simd {

// Element types: the bytes of a value and of an input, how many columns a vector has and how many vectors a step, how
// many rows go in step for one or two tokens, and the three operations.
template <typename V>
struct BitsOfF32Inputs {
  using Lanes = V;
  using Vector = typename V::F;
  static constexpr int kXBytes = 4, kColumns = V::kLanes, kRows = 4;
  static constexpr int kVectors = V::kLanes < 8 ? 2 : 1;  // a byte has the bits of eight columns
  static Vector load(const std::byte* x) { return V::load(x); }
  static void store(std::byte* target, Vector v) { V::store(reinterpret_cast<float*>(target), v); }
  static typename V::F multiply_add(typename V::F sum, Vector weights, Vector x) { return V::fma(weights, x, sum); }
};
template <typename V>
struct BitsF32 : BitsOfF32Inputs<V> {
  static constexpr int kBytes = 4;
  static typename V::F expand(const std::byte* values, uint32_t mask) { return V::expand_f32(values, mask); }
};
template <typename V>
struct BitsF16 : BitsOfF32Inputs<V> {
  static constexpr int kBytes = 2;
  static typename V::F expand(const std::byte* values, uint32_t mask) { return V::expand_f16(values, mask); }
};
template <typename V>
struct BitsBf16 : BitsOfF32Inputs<V> {
  static constexpr int kBytes = 2;
  static typename V::F expand(const std::byte* values, uint32_t mask) { return V::expand_bf16(values, mask); }
};
// Inputs ROUNDED TO BF16, two columns a lane. Zen 4: 64 columns a step and eight rows take 3.9 cycles for 32 columns,
// 32 a step and four rows 6.4; expanding to f32 and multiplying that takes 9.4.
template <typename V>
struct BitsBf16Pairs {
  using Lanes = V;
  using Vector = typename V::I;
  static constexpr int kBytes = 2, kXBytes = 2, kColumns = 2 * V::kLanes, kRows = 8, kVectors = 2;
  static Vector load(const std::byte* x) { return V::load_words(x); }
  static void store(std::byte* target, Vector v) { V::store_words(reinterpret_cast<uint32_t*>(target), v); }
  static typename V::F multiply_add(typename V::F sum, Vector weights, Vector x) {
    return V::dot_pairs(sum, weights, x);
  }
  static Vector expand(const std::byte* values, uint32_t mask) { return V::expand_bf16_pairs(values, mask); }
};

template <typename E>
void expand_step(const std::byte* values, uint64_t mask, typename E::Vector* weights) {
  if constexpr (E::kVectors == 2) {
    const uint64_t low = mask & ((uint64_t{1} << E::kColumns) - 1);
    weights[0] = E::expand(values, static_cast<uint32_t>(low));
    weights[1] = E::expand(values + static_cast<uint64_t>(__builtin_popcountll(low)) * E::kBytes,
                           static_cast<uint32_t>(mask >> E::kColumns));
  } else {
    weights[0] = E::expand(values, static_cast<uint32_t>(mask));
  }
}

// Walks along one row.
template <typename E>
struct BitCursor {
  static constexpr int kColumns = E::kColumns * E::kVectors;
  static constexpr int kMaskBytes = kColumns / 8;
  static constexpr int kReadBytes = kColumns * E::kBytes;

  const std::byte* values;
  const uint8_t* bits;

  // The next step, all of whose columns exist and whose reads stay inside the matrix.
  void next(typename E::Vector* weights) {
    uint64_t mask = 0;
    std::memcpy(&mask, bits, kMaskBytes);
    expand_step<E>(values, mask, weights);
    values += static_cast<uint64_t>(__builtin_popcountll(mask)) * E::kBytes;  // 64 bits: nothing to extend
    bits += kMaskBytes;
  }
  // Any step: reads no values from `values_end` on and no bits from `bits_end` on, and takes both for zeros.
  void next_near_end(const std::byte* values_end, const uint8_t* bits_end, typename E::Vector* weights) {
    uint64_t mask = 0;
    for (int i = 0; i < kMaskBytes && bits + i < bits_end; ++i) mask |= static_cast<uint64_t>(bits[i]) << (8 * i);
    std::byte buffer[kReadBytes] = {};
    const int64_t left = values_end - values;
    std::memcpy(buffer, values, static_cast<size_t>(left < kReadBytes ? left : kReadBytes));
    expand_step<E>(buffer, mask, weights);
    values += __builtin_popcountll(mask) * E::kBytes;
    bits += kMaskBytes;
  }
};

// How many leading steps of a row next() can do. `row_values_end` is the end of the row's own values.
template <typename E>
int64_t plain_steps(const uint8_t* bits, int64_t in_features, const std::byte* row_values_end,
                    const std::byte* values_end) {
  using Cursor = BitCursor<E>;
  int64_t steps = in_features / Cursor::kColumns;
  int64_t behind = values_end - row_values_end;  // bytes of values behind the start of step `steps`, at least
  for (; steps > 0 && behind < Cursor::kReadBytes; --steps)
    for (int i = 0; i < Cursor::kMaskBytes; ++i)
      behind += __builtin_popcount(bits[(steps - 1) * Cursor::kMaskBytes + i]) * E::kBytes;
  return steps;
}

// Rows of a piece that go in step, `apart` rows from each other; where there are fewer, the last one stands in for the
// missing.
template <typename E, int rows>
struct BitTeam {
  using Cursor = BitCursor<E>;
  Cursor row[rows];
  const uint8_t* bits_end[rows];
  const std::byte* values_end;
  int64_t plain = 0;  // steps that next() can do in all rows
  int64_t steps = 0;

  BitTeam(const BitRowsPiece& piece, int64_t first, int64_t apart) : values_end(piece.values_end) {
    const int64_t bits_bytes = (piece.in_features + 7) / 8;
    steps = (piece.in_features + Cursor::kColumns - 1) / Cursor::kColumns;
    plain = steps;
    for (int r = 0; r < rows; ++r) {
      int64_t at = first + r * apart;
      if (at >= piece.rows) at = piece.rows - 1;
      row[r] = {piece.row_values[at], piece.bitmask + at * bits_bytes};
      bits_end[r] = row[r].bits + bits_bytes;
      const int64_t own = plain_steps<E>(row[r].bits, piece.in_features, piece.row_values[at + 1], values_end);
      if (own < plain) plain = own;
    }
  }
  template <bool near_end>
  void next(int r, typename E::Vector* weights) {
    if constexpr (near_end) {
      row[r].next_near_end(values_end, bits_end[r], weights);
    } else {
      row[r].next(weights);
    }
  }
};

// sums[r][t] += weights of steps [first, last) x tokens; a single token or two.
template <bool near_end, int tokens, typename E, int rows>
void multiply_steps(BitTeam<E, rows>& team, int64_t first, int64_t last, const FewTokens& few,
                    typename E::Lanes::F (&sums)[rows][tokens]) {
  constexpr int kVectors = E::kVectors;
  BitTeam<E, rows> at = team;  // copies of our own stay in registers
  typename E::Lanes::F partial[rows][tokens];
  for (int r = 0; r < rows; ++r)
    for (int t = 0; t < tokens; ++t) partial[r][t] = sums[r][t];
  for (int64_t step = first; step < last; ++step) {
    typename E::Vector x[tokens][kVectors];
    for (int t = 0; t < tokens; ++t)
      for (int v = 0; v < kVectors; ++v)
        x[t][v] = E::load(few.x + t * few.x_stride + (step * kVectors + v) * E::kColumns * E::kXBytes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      typename E::Vector weights[kVectors];
      at.template next<near_end>(r, weights);
      for (int t = 0; t < tokens; ++t)
        for (int v = 0; v < kVectors; ++v) partial[r][t] = E::multiply_add(partial[r][t], weights[v], x[t][v]);
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int t = 0; t < tokens; ++t) sums[r][t] = partial[r][t];
  team = at;
}

// Where the sums of a team go: row r of it is row first + r * apart of the piece.
template <typename V>
void store_sum(const BitRowsPiece& piece, const FewTokens& few, int64_t row, int64_t token, typename V::F sum) {
  if (row >= piece.rows) return;
  few.y[token * few.y_stride + row] = V::sum(sum) + (few.bias != nullptr ? few.bias[row] : 0.0f);
}

template <int tokens, typename E>
void multiply_directly(const BitRowsPiece& piece, int64_t first, int64_t apart, const FewTokens& few) {
  using V = typename E::Lanes;
  constexpr int kRows = E::kRows;
  BitTeam<E, kRows> team(piece, first, apart);
  typename V::F sums[kRows][tokens];
  for (int r = 0; r < kRows; ++r)
    for (int t = 0; t < tokens; ++t) sums[r][t] = V::zero();
  multiply_steps<false>(team, 0, team.plain, few, sums);
  multiply_steps<true>(team, team.plain, team.steps, few, sums);
  for (int r = 0; r < kRows; ++r)
    for (int t = 0; t < tokens; ++t) store_sum<V>(piece, few, first + r * apart, t, sums[r][t]);
}

// A strip of four rows, up to 4 KiB: with the strip of sixteen tokens (16 KiB) it fits the L1 cache.
inline constexpr int kStripColumns = 256, kStripRows = 4;

template <typename E>
struct BitStrip {
  alignas(64) std::byte weights[kStripRows][kStripColumns * E::kXBytes];
  alignas(64) float sums[kStripRows][16][E::Lanes::kLanes];
};

// Expands the steps [first, last), no more than a strip, and asks for the values behind them.
template <bool near_end, typename E>
void expand_steps(BitTeam<E, kStripRows>& team, int64_t first, int64_t last, BitStrip<E>& strip, int64_t strip_first) {
  constexpr int kVectors = E::kVectors;
  BitTeam<E, kStripRows> at = team;
  for (int r = 0; r < kStripRows; ++r)
    for (int ahead = 0; ahead < kStripColumns * E::kBytes; ahead += 64)
      E::Lanes::prefetch(at.row[r].values + kStripColumns * E::kBytes / 2 + ahead);
  for (int64_t step = first; step < last; ++step)
    for (int r = 0; r < kStripRows; ++r) {
      typename E::Vector weights[kVectors];
      at.template next<near_end>(r, weights);
      for (int v = 0; v < kVectors; ++v)
        E::store(strip.weights[r] + ((step - strip_first) * kVectors + v) * E::kColumns * E::kXBytes, weights[v]);
    }
  team = at;
}

// As many tokens at once as leave registers for four weights: of 16 in AVX2, of 32 in AVX-512.
template <typename V>
inline constexpr int kTileTokens = V::kLanes >= 16 ? 6 : 3;

// strip.sums of tokens [token, token + tile) and beyond += strip.weights x tokens; `vectors` vectors a row.
template <int tile, typename E>
void multiply_strip(BitStrip<E>& strip, int64_t vectors, const std::byte* x, const FewTokens& few, int64_t token) {
  using V = typename E::Lanes;
  constexpr int kVectorBytes = E::kColumns * E::kXBytes;
  for (; token + tile <= few.tokens; token += tile) {
    typename V::F sums[kStripRows][tile];
    for (int r = 0; r < kStripRows; ++r)
      for (int t = 0; t < tile; ++t) sums[r][t] = V::load(strip.sums[r][token + t]);
    const std::byte* from = x + token * few.x_stride;
    for (int64_t vector = 0; vector < vectors; ++vector) {
      typename E::Vector inputs[tile];
      for (int t = 0; t < tile; ++t) inputs[t] = E::load(from + t * few.x_stride + vector * kVectorBytes);
      for (int r = 0; r < kStripRows; ++r) {
        const typename E::Vector weights = E::load(strip.weights[r] + vector * kVectorBytes);
        for (int t = 0; t < tile; ++t) sums[r][t] = E::multiply_add(sums[r][t], weights, inputs[t]);
      }
    }
    for (int r = 0; r < kStripRows; ++r)
      for (int t = 0; t < tile; ++t) V::store(strip.sums[r][token + t], sums[r][t]);
  }
  if constexpr (tile > 1) multiply_strip<tile - 1>(strip, vectors, x, few, token);
}

template <typename E>
void multiply_in_strips(const BitRowsPiece& piece, int64_t first, int64_t apart, const FewTokens& few) {
  using V = typename E::Lanes;
  constexpr int64_t kStripSteps = kStripColumns / BitCursor<E>::kColumns;
  BitTeam<E, kStripRows> team(piece, first, apart);
  BitStrip<E> strip;
  for (int r = 0; r < kStripRows; ++r)
    for (int64_t t = 0; t < few.tokens; ++t) V::store(strip.sums[r][t], V::zero());
  for (int64_t step = 0; step < team.steps; step += kStripSteps) {
    const int64_t last = step + kStripSteps < team.steps ? step + kStripSteps : team.steps;
    const int64_t plain = team.plain < step ? step : team.plain < last ? team.plain : last;
    expand_steps<false>(team, step, plain, strip, step);
    expand_steps<true>(team, plain, last, strip, step);
    multiply_strip<kTileTokens<V>>(strip, (last - step) * E::kVectors,
                                   few.x + step * BitCursor<E>::kColumns * E::kXBytes, few, 0);
  }
  for (int r = 0; r < kStripRows; ++r)
    for (int64_t t = 0; t < few.tokens; ++t) store_sum<V>(piece, few, first + r * apart, t, V::load(strip.sums[r][t]));
}

template <typename E>
void multiply_bits(const BitRowsPiece& piece, const FewTokens& few) {
  const int64_t rows = few.tokens <= 2 ? E::kRows : kStripRows;
  const int64_t apart = (piece.rows + rows - 1) / rows;
  for (int64_t first = 0; first < apart; ++first) {
    if (few.tokens == 1) {
      multiply_directly<1, E>(piece, first, apart, few);
    } else if (few.tokens == 2) {
      multiply_directly<2, E>(piece, first, apart, few);
    } else {
      multiply_in_strips<E>(piece, first, apart, few);
    }
  }
}

template <typename V>
void multiply_bits_of_any_type(const BitRowsPiece& piece, const FewTokens& few) {
  if (piece.dtype == DType::f32) return multiply_bits<BitsF32<V>>(piece, few);
  if (piece.dtype == DType::f16) return multiply_bits<BitsF16<V>>(piece, few);
  if constexpr (V::kHasPairs) {
    multiply_bits<BitsBf16Pairs<V>>(piece, few);
  } else {
    multiply_bits<BitsBf16<V>>(piece, few);
  }
}

// BitKernels::expand.
template <typename E>
void expand_rows(const BitRowsPiece& piece, std::byte* target) {
  using Cursor = BitCursor<E>;
  const int64_t row_bytes = piece.in_features * E::kBytes;
  for (int64_t row = 0; row < piece.rows; ++row, target += row_bytes) {
    BitTeam<E, 1> team(piece, row, 0);
    typename E::Vector weights[E::kVectors];
    const auto store = [&](std::byte* to) {
      for (int v = 0; v < E::kVectors; ++v) E::store(to + v * E::kColumns * E::kBytes, weights[v]);
    };
    int64_t byte = 0;
    for (int64_t step = 0; step < team.plain; ++step, byte += Cursor::kReadBytes) {
      team.template next<false>(0, weights);
      store(target + byte);
    }
    for (; byte < row_bytes; byte += Cursor::kReadBytes) {
      team.template next<true>(0, weights);
      std::byte buffer[Cursor::kReadBytes];
      store(buffer);
      const int64_t left = row_bytes - byte;
      std::memcpy(target + byte, buffer, static_cast<size_t>(left < Cursor::kReadBytes ? left : Cursor::kReadBytes));
    }
  }
}

template <typename V>
constexpr BitKernels make_bit_kernels(const char* isa) {
  if constexpr (V::kHasPairs) {
    return {isa, true, multiply_bits_of_any_type<V>, expand_rows<BitsBf16Pairs<V>>};
  } else {
    return {isa, false, multiply_bits_of_any_type<V>, nullptr};
  }
}

// target[0, in_features) = one row as f32, zeros where nothing is kept. `row_values_end` and `values_end` are the ends
// of the row's values and of the matrix's.
template <typename E>
void expand_row(const std::byte* values, const uint8_t* bits, int64_t in_features, const std::byte* row_values_end,
                const std::byte* values_end, float* target) {
  static_assert(E::kXBytes == 4);
  using V = typename E::Lanes;
  using Cursor = BitCursor<E>;
  Cursor at{values, bits};
  const int64_t plain = plain_steps<E>(bits, in_features, row_values_end, values_end);
  typename V::F weights[E::kVectors];
  const auto store = [&](float* to) {
    for (int v = 0; v < E::kVectors; ++v) V::store(to + v * V::kLanes, weights[v]);
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

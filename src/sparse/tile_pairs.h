// How a group of eight columns stands in tiles (sparse/nm_tiles.h): N:8 with N = 2, 4 or 6 keeps N / 2 pairs of
// columns, and a byte, the number of its mask among those with N bits, says which.
//
// 4:8 uses twenty of the twenty-eight pairs: those within either half and eight across, which is the fewest that split
// every choice of four columns. Fewer pairs make a smaller panel in sparse_gemm.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace esparse {

struct ColumnPair {
  int8_t first = 0, second = 0;  // of eight, first < second
  constexpr bool operator==(const ColumnPair&) const = default;
};

// Pairs that kernels expand activations to, in the order of their slots.
inline constexpr std::array<ColumnPair, 20> kPairsOf4 = [] {
  std::array<ColumnPair, 20> pairs;
  size_t slot = 0;
  for (int8_t half = 0; half < 8; half += 4)
    for (int8_t a = 0; a < 4; ++a)
      for (int8_t b = a + 1; b < 4; ++b) pairs[slot++] = {static_cast<int8_t>(half + a), static_cast<int8_t>(half + b)};
  for (int8_t a = 0; a < 4; ++a)  // a ring across: every column has two partners in the other half
    for (int8_t step = 0; step < 2; ++step) pairs[slot++] = {a, static_cast<int8_t>(4 + (a + step) % 4)};
  return pairs;
}();
inline constexpr std::array<ColumnPair, 28> kAllPairs = [] {
  std::array<ColumnPair, 28> pairs;
  size_t slot = 0;
  for (int8_t a = 0; a < 8; ++a)
    for (int8_t b = a + 1; b < 8; ++b) pairs[slot++] = {a, b};
  return pairs;
}();

// The pairs of kept:8, kept 2, 4 or 6. Those of 6 have no slots: no kernel gains by them.
struct PairPatterns {
  static constexpr int kMaxPairs = 3, kMaxPatterns = 70;

  int kept = 0;
  int patterns = 0;
  std::array<uint8_t, kMaxPatterns> mask{};  // of every pattern number, ascending
  std::array<uint8_t, 256> number{};         // of every mask with `kept` bits
  std::array<std::array<ColumnPair, kMaxPairs>, kMaxPatterns> pairs{};
  std::array<std::array<ColumnPair, kMaxPairs>, kMaxPatterns> places{};  // of these columns among the kept ones

  constexpr int pair_count() const { return kept / 2; }
};

namespace tile_pairs_detail {

constexpr bool has_slot(ColumnPair pair) {
  for (const ColumnPair slot : kPairsOf4)
    if (slot == pair) return true;
  return false;
}

// Splits the kept columns c[0] < c[1] < ... into pairs.
constexpr std::array<ColumnPair, PairPatterns::kMaxPairs> split(const std::array<int8_t, 8>& c, int kept) {
  std::array<ColumnPair, PairPatterns::kMaxPairs> pairs{};
  for (int k = 0; 2 * k < kept; ++k) pairs[k] = {c[2 * k], c[2 * k + 1]};
  if (kept != 4) return pairs;
  for (int partner = 1; partner < 4; ++partner) {  // of the first column
    const int rest = partner == 1 ? 2 : 1;
    pairs[0] = {c[0], c[partner]};
    pairs[1] = {c[rest], c[6 - partner - rest]};
    if (has_slot(pairs[0]) && has_slot(pairs[1])) break;
  }
  return pairs;
}

// How many columns the mask keeps before this one.
constexpr int8_t place(unsigned mask, int8_t column) {
  return static_cast<int8_t>(std::popcount(mask & ((1u << column) - 1)));
}

constexpr PairPatterns make(int kept) {
  PairPatterns result;
  result.kept = kept;
  for (unsigned mask = 0; mask < 256; ++mask) {
    if (std::popcount(mask) != kept) continue;
    std::array<int8_t, 8> columns{};
    int count = 0;
    for (int8_t bit = 0; bit < 8; ++bit)
      if ((mask >> bit & 1) != 0) columns[count++] = bit;
    result.number[mask] = static_cast<uint8_t>(result.patterns);
    result.mask[result.patterns] = static_cast<uint8_t>(mask);
    const auto pairs = split(columns, kept);
    result.pairs[result.patterns] = pairs;
    for (int k = 0; 2 * k < kept; ++k)
      result.places[result.patterns][k] = {place(mask, pairs[k].first), place(mask, pairs[k].second)};
    ++result.patterns;
  }
  return result;
}

inline constexpr PairPatterns kOf2 = make(2), kOf4 = make(4), kOf6 = make(6);

constexpr bool all_have_slots(const PairPatterns& patterns) {
  for (int i = 0; i < patterns.patterns; ++i)
    for (int k = 0; k < patterns.pair_count(); ++k)
      if (!has_slot(patterns.pairs[i][k])) return false;
  return true;
}
static_assert(all_have_slots(kOf4), "twenty pairs must split every choice of four columns");

}  // namespace tile_pairs_detail

// kept: 2, 4 or 6.
constexpr const PairPatterns& pair_patterns(int kept) {
  return kept == 2 ? tile_pairs_detail::kOf2 : kept == 4 ? tile_pairs_detail::kOf4 : tile_pairs_detail::kOf6;
}

}  // namespace esparse

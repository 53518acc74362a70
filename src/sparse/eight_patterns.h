// The patterns of N:8 with N = 2, 4 or 6, numbered: in tiles (sparse/nm_tiles.h) a byte says which columns a group of
// eight keeps.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace esparse {

struct EightPatterns {
  static constexpr int kMaxKept = 6, kMaxPatterns = 70;

  int kept = 0;
  int patterns = 0;
  std::array<uint8_t, 256> number{};                                 // of every mask with `kept` bits, ascending
  std::array<std::array<uint8_t, kMaxKept>, kMaxPatterns> column{};  // of every pattern, ascending

  constexpr int pairs() const { return kept / 2; }
};

namespace eight_patterns_detail {

constexpr EightPatterns make(int kept) {
  EightPatterns result;
  result.kept = kept;
  for (unsigned mask = 0; mask < 256; ++mask) {
    if (std::popcount(mask) != kept) continue;
    auto& column = result.column[static_cast<size_t>(result.patterns)];
    size_t count = 0;
    for (uint8_t bit = 0; bit < 8; ++bit)
      if ((mask >> bit & 1) != 0) column[count++] = bit;
    result.number[mask] = static_cast<uint8_t>(result.patterns++);
  }
  return result;
}

inline constexpr EightPatterns kOf2 = make(2), kOf4 = make(4), kOf6 = make(6);

}  // namespace eight_patterns_detail

// kept: 2, 4 or 6.
constexpr const EightPatterns& eight_patterns(int kept) {
  using namespace eight_patterns_detail;
  return kept == 2 ? kOf2 : kept == 4 ? kOf4 : kOf6;
}

}  // namespace esparse

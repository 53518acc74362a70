// Random numbers that are the same on every machine and with every standard library.
#pragma once

#include <cstdint>
#include <random>

namespace esparse {

// Uniform in [0, count). std::uniform_int_distribution gives other numbers with every standard library.
inline uint64_t draw_below(std::mt19937_64& random, uint64_t count) {
  const uint64_t biased = -count % count;  // 2^64 mod count: as many of the lowest numbers would be too frequent
  uint64_t value = random();
  while (value < biased) value = random();
  return value % count;
}

}  // namespace esparse

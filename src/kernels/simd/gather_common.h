// Reading activations and writing outputs of the gather product (gather_f32.h).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "kernels/gather_kernels.h"

namespace esparse::simd {
namespace {

// For every eight bits the places of those that are set, ascending, one in a byte.
constexpr std::array<uint64_t, 256> make_bit_places() {
  std::array<uint64_t, 256> table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    unsigned slot = 0;
    for (uint64_t bit = 0; bit < 8; ++bit)
      if (mask >> bit & 1) table[mask] |= bit << (8 * slot++);
  }
  return table;
}
alignas(64) constexpr auto kBitPlaces = make_bit_places();

// Entries that make all lists of rows [first, first + group) as long as the longest: +0.0 times a slot of zeros.
inline void fill_up(const GatherLists& lists, int64_t first, int64_t group, uint32_t zeros) {
  int32_t longest = 0;
  for (int64_t row = first; row < first + group; ++row)
    longest = lists.counts[row] > longest ? lists.counts[row] : longest;
  for (int64_t row = first; row < first + group; ++row) {
    const int64_t at = lists.row_start(row);
    for (int64_t entry = lists.counts[row]; entry < longest; ++entry) {
      lists.words[at + entry] = 0;
      lists.offsets[at + entry] = zeros;
    }
  }
}

struct ListCount {
  int64_t entries;
  int64_t kept;  // weights that stand in them
};

// GatherProduct::list_bits; make(values, readable, mask, words, offsets) makes the list of one row.
template <int group, typename Make>
inline void list_rows(const GatherRows& source, int64_t value_bytes, uint32_t zeros, const GatherLists& lists,
                      Make make) {
  // Rows are often a power of two apart, where caches lose what they were told to fetch long before.
  constexpr int64_t kAhead = 6;  // rows, of about 20 ns each
  for (int64_t row = 0; row < source.rows; ++row) {
    if (row + kAhead < source.rows) {
      const std::byte* values = source.values + source.next[row + kAhead] * value_bytes;
      for (int64_t byte = 0; byte <= source.mask_bytes * 4 * value_bytes; byte += 64) __builtin_prefetch(values + byte);
      __builtin_prefetch(source.mask + (row + kAhead) * source.mask_stride);
    }
    const int64_t at = lists.row_start(row);
    const ListCount count = make(source.values + source.next[row] * value_bytes, source.ends[row] - source.next[row],
                                 source.mask + row * source.mask_stride, lists.words + at, lists.offsets + at);
    source.next[row] += count.kept;
    lists.counts[row] = static_cast<int32_t>(count.entries);
    if (row % group == group - 1) fill_up(lists, row + 1 - group, group, zeros);
  }
  const int64_t rest = source.rows % group;
  if (rest == 0) return;
  for (int64_t row = source.rows; row < source.rows + group - rest; ++row) lists.counts[row] = 0;
  fill_up(lists, source.rows - rest, group, zeros);
}

// rows[c] = column c of x [tokens, columns], kLanes tokens in the lanes; zero where x ends.
template <typename V>
inline void load_columns(const float* x, int64_t x_stride, int64_t tokens, int64_t columns,
                         typename V::F (&rows)[V::kLanes]) {
  constexpr int kLanes = V::kLanes;
  if (tokens >= kLanes && columns >= kLanes) {
    for (int t = 0; t < kLanes; ++t) rows[t] = V::load(x + t * x_stride);
  } else {
    for (int t = 0; t < kLanes; ++t) {
      float buffer[kLanes] = {};
      const int64_t here = t >= tokens ? 0 : columns < kLanes ? columns : kLanes;
      for (int64_t c = 0; c < here; ++c) buffer[c] = x[t * x_stride + c];
      rows[t] = V::load(buffer);
    }
  }
  V::transpose(rows);
}

// Brings the next panel into the second-level cache, a few lines with every step of `step_rows` rows.
template <typename V>
class FetchAhead {
 public:
  FetchAhead(const GatherPanel& panel, int64_t rows, int64_t step_rows)
      : next_(panel.next), bytes_((panel.bytes / 64 * step_rows / rows + 1) * 64) {}
  void step() {
    for (int64_t byte = 0; byte < bytes_; byte += 64) V::prefetch_second_level(next_ + byte);
    next_ += bytes_;
  }

 private:
  const std::byte* next_;
  int64_t bytes_;
};

// GatherProduct::store, in squares of kLanes rows x kLanes tokens.
template <typename V>
void store_sums(const float* sums, int64_t sums_stride, int64_t rows, int64_t tokens, const float* bias, float* y,
                int64_t y_stride) {
  constexpr int kLanes = V::kLanes;
  for (int64_t row = 0; row < rows; row += kLanes) {
    const int64_t here = rows - row < kLanes ? rows - row : kLanes;
    float offsets[kLanes] = {};
    if (bias != nullptr) std::memcpy(offsets, bias + row, static_cast<size_t>(here) * sizeof(float));
    const auto offset = V::load(offsets);
    for (int64_t token = 0; token < tokens; token += kLanes) {
      typename V::F square[kLanes];
      for (int i = 0; i < kLanes; ++i) square[i] = V::load(sums + (row + i) * sums_stride + token);
      V::transpose(square);
      const int64_t last = tokens - token < kLanes ? tokens - token : kLanes;
      for (int64_t t = 0; t < last; ++t) {
        const auto result = V::add(square[t], offset);
        float* target = y + (token + t) * y_stride + row;
        if (here == kLanes) {
          V::store(target, result);
        } else {
          float buffer[kLanes];
          V::store(buffer, result);
          std::memcpy(target, buffer, static_cast<size_t>(here) * sizeof(float));
        }
      }
    }
  }
}

}  // namespace
}  // namespace esparse::simd

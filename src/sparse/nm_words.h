// What packing, unpacking and validating share: weights as raw words, and groups of bits one after the other.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/dtype.h"
#include "base/parallel.h"
#include "base/status.h"

namespace esparse {

// A weight type by its raw words. Infinity and NaN are the words whose exponent bits are all set.
template <typename Word, Word kExponentBits, typename Value>
struct WeightWord {
  using word = Word;
  static constexpr Word kMagnitude = static_cast<Word>(~(Word{1} << (8 * sizeof(Word) - 1)));

  static Word load(const std::byte* source, int64_t index) {
    Word value;
    std::memcpy(&value, source + index * static_cast<int64_t>(sizeof(Word)), sizeof(Word));
    return value;
  }
  static void store(std::byte* target, int64_t index, Word value) {
    std::memcpy(target + index * static_cast<int64_t>(sizeof(Word)), &value, sizeof(Word));
  }
  static bool is_zero(Word value) { return (value & kMagnitude) == 0; }
  static bool is_finite(Word value) { return (value & kExponentBits) != kExponentBits; }
  static float to_float(Word value) { return to_f32(std::bit_cast<Value>(value)); }
};
using WordF32 = WeightWord<uint32_t, 0x7f800000, float>;
using WordF16 = WeightWord<uint16_t, 0x7c00, f16>;
using WordBf16 = WeightWord<uint16_t, 0x7f80, bf16>;

// Calls body(word type) for a weight dtype.
template <typename Body>
auto with_weight_word(DType dtype, Body&& body) {
  ESPARSE_CHECK(is_weight_dtype(dtype));
  if (dtype == DType::f32) return body(WordF32{});
  if (dtype == DType::f16) return body(WordF16{});
  return body(WordBf16{});
}

// Reads groups of up to 32 bits from a row of bytes, LSB first; never a byte beyond the last one asked for.
class BitReader {
 public:
  explicit BitReader(const uint8_t* bytes) : bytes_(bytes) {}
  uint32_t next(int count) {
    while (available_ < count) {
      pending_ |= static_cast<uint64_t>(*bytes_++) << available_;
      available_ += 8;
    }
    const auto bits = static_cast<uint32_t>(pending_ & ((uint64_t{1} << count) - 1));
    pending_ >>= count;
    available_ -= count;
    return bits;
  }
  uint64_t rest() const { return pending_; }  // bits of the byte read last that nobody asked for

 private:
  const uint8_t* bytes_;
  uint64_t pending_ = 0;
  int available_ = 0;
};

// The writing side; bits of the last byte that nobody wrote are zero.
class BitWriter {
 public:
  explicit BitWriter(uint8_t* bytes) : bytes_(bytes) {}
  void append(uint32_t bits, int count) {
    pending_ |= static_cast<uint64_t>(bits) << filled_;
    filled_ += count;
    for (; filled_ >= 8; filled_ -= 8, pending_ >>= 8) *bytes_++ = static_cast<uint8_t>(pending_);
  }
  void flush() {
    if (filled_ > 0) *bytes_++ = static_cast<uint8_t>(pending_);
    pending_ = 0;
    filled_ = 0;
  }

 private:
  uint8_t* bytes_;
  uint64_t pending_ = 0;
  int filled_ = 0;
};

// body(row) -> Status for every row of `row_elements` weights, in parallel; the error of the lowest failing row,
// whatever the thread count.
template <typename Body>
Status for_each_row(int64_t rows, int64_t row_elements, Body&& body) {
  constexpr int64_t kChunkRows = 32;  // enough work per hand-out, enough pieces for many cores
  std::vector<Status> failures(static_cast<size_t>(ceil_div(rows, kChunkRows)));
  parallel_for_sized(static_cast<int64_t>(failures.size()), rows * row_elements, [&](int64_t chunk, int) {
    const int64_t end = std::min(rows, (chunk + 1) * kChunkRows);
    for (int64_t row = chunk * kChunkRows; row < end && failures[chunk].ok(); ++row) failures[chunk] = body(row);
  });
  for (Status& failure : failures)
    if (!failure.ok()) return std::move(failure);
  return {};
}

}  // namespace esparse

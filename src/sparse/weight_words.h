// What packing, unpacking and validating share: weights as raw words, groups of bits one after the other, sizes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
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

// What both a caller's matrix and a file's claim must fulfil before a size is computed from it.
inline Status check_weight_shape(DType dtype, int64_t out_features, int64_t in_features) {
  constexpr int64_t kMaxFeatures = std::numeric_limits<int32_t>::max();  // stored as I32
  if (!is_weight_dtype(dtype)) return unsupported("values: expected F32, F16 or BF16, got {}", dtype_name(dtype));
  if (out_features >= 0 && in_features >= 0 && out_features <= kMaxFeatures && in_features <= kMaxFeatures) return {};
  return invalid_argument("shape [{}, {}]: expected dimensions from 0 to {}", out_features, in_features, kMaxFeatures);
}

inline Status check_bytes(std::string_view what, size_t got, int64_t out_features, int64_t row_bytes) {
  const auto expected = checked_mul(out_features, row_bytes);
  if (expected && static_cast<uint64_t>(*expected) == got) return {};
  return corruption("{}: expected {} rows of {} bytes, got {} bytes", what, out_features, row_bytes, got);
}

// The refusal of bits set behind the last column of a row.
inline Status pad_bits_error(int64_t row) {
  return corruption("row {}: expected zero pad bits in the last byte of the bitmask", row);
}

// That `count` values of a row are finite; Word is one of the types above.
template <typename Word>
Status check_finite_values(const std::byte* values, int64_t first, int64_t count, int64_t row) {
  bool finite = true;
  for (int64_t k = 0; k < count; ++k) finite &= Word::is_finite(Word::load(values, first + k));
  if (finite) return {};
  return corruption("row {}: expected finite values, got NaN or infinity", row);
}

}  // namespace esparse

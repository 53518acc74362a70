#include "sparse/bit_rows.h"

#include <array>
#include <bit>

#include "sparse/weight_words.h"

namespace esparse {
namespace {

// For each byte of a bitmask: which of the next values a column takes, and all ones where it takes one.
struct ExpandTable {
  std::array<std::array<uint8_t, 8>, 256> rank{};
  std::array<std::array<uint32_t, 8>, 256> mask{};
  std::array<uint8_t, 256> count{};  // the processor's own population count is not in every build
};
constexpr ExpandTable make_expand_table() {
  ExpandTable table;
  for (unsigned byte = 0; byte < 256; ++byte) {
    table.count[byte] = static_cast<uint8_t>(std::popcount(byte));
    for (unsigned column = 0; column < 8; ++column) {
      table.rank[byte][column] = static_cast<uint8_t>(std::popcount(byte & ((1u << column) - 1)));
      table.mask[byte][column] = (byte >> column & 1) != 0 ? 0xffffffffu : 0u;
    }
  }
  return table;
}
constexpr ExpandTable kExpand = make_expand_table();

// Expands one byte's columns. Reads values[0..7], used or not: the caller pads.
inline void expand_byte(uint8_t byte, const float* values, float* target) {
  for (int column = 0; column < 8; ++column) {
    const auto bits = std::bit_cast<uint32_t>(values[kExpand.rank[byte][column]]);
    target[column] = std::bit_cast<float>(bits & kExpand.mask[byte][column]);
  }
}

// Values are widened a strip at a time into a small buffer, because that loop vectorises; then spread without branches.
void unpack_row_f32(const BitRowsView& packed, int64_t row, float* target) {
  constexpr int64_t kStripBytes = 64;            // of bitmask: 512 columns
  std::array<float, kStripBytes * 8 + 8> strip;  // 2 KiB stays in the L1 cache; 8 of padding
  const int64_t value_bytes = dtype_bytes(packed.dtype);
  const std::byte* values = packed.row_values(row);
  const uint8_t* bitmask = packed.row_bits(row);
  const int64_t whole_bytes = packed.in_features / 8;
  for (int64_t first = 0; first < packed.bitmask_row_bytes(); first += kStripBytes) {
    const int64_t end = std::min(packed.bitmask_row_bytes(), first + kStripBytes);
    int64_t count = 0;
    for (int64_t b = first; b < end; ++b) count += kExpand.count[bitmask[b]];
    convert_to_f32(packed.dtype, values, std::span(strip).first(count));
    std::fill_n(strip.begin() + count, 8, 0.0f);
    values += count * value_bytes;
    const float* next = strip.data();
    for (int64_t b = first; b < std::min(end, whole_bytes); next += kExpand.count[bitmask[b++]])
      expand_byte(bitmask[b], next, target + 8 * b);
    if (end > whole_bytes) {  // the ragged last byte
      std::array<float, 8> tail;
      expand_byte(bitmask[whole_bytes], next, tail.data());
      std::copy_n(tail.begin(), packed.in_features - 8 * whole_bytes, target + 8 * whole_bytes);
    }
  }
}

template <typename Word>
void unpack_row(const BitRowsView& packed, int64_t row, std::byte* dense) {
  const uint8_t* bitmask = packed.row_bits(row);
  int64_t slot = packed.row_offset(row);
  for (int64_t byte = 0; byte < packed.bitmask_row_bytes(); ++byte) {
    const int64_t column = row * packed.in_features + 8 * byte;
    for (unsigned bits = bitmask[byte]; bits != 0; bits &= bits - 1)
      Word::store(dense, column + std::countr_zero(bits), Word::load(packed.values, slot++));
  }
}

}  // namespace

std::vector<std::byte> unpack_rows(const BitRowsView& packed) {
  std::vector<std::byte> dense(packed.out_features * packed.in_features * dtype_bytes(packed.dtype));
  const Status status = with_weight_word(packed.dtype, [&](auto word) {
    return for_each_row(packed.out_features, packed.in_features, [&](int64_t row) {
      unpack_row<decltype(word)>(packed, row, dense.data());
      return Status();
    });
  });
  ESPARSE_CHECK(status.ok());
  return dense;
}

void unpack_rows_f32(const BitRowsView& packed, int64_t first, int64_t count, MatrixView<float> target) {
  ESPARSE_CHECK(first >= 0 && count >= 0 && first + count <= packed.out_features);
  ESPARSE_CHECK(target.rows >= count && target.cols == packed.in_features);
  for (int64_t row = 0; row < count; ++row) unpack_row_f32(packed, first + row, target.row(row).data());
}

}  // namespace esparse

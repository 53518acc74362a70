#include "sparse/bitmap_matrix.h"

#include <bit>

#include "sparse/bit_rows.h"
#include "sparse/weight_words.h"

namespace esparse {
namespace {

// Every row has at least a byte of bits: the offsets made from a file's claim are no more than 8 times its bytes.
Status check_shape(DType dtype, int64_t out_features, int64_t in_features) {
  ESPARSE_RETURN_IF_ERROR(check_weight_shape(dtype, out_features, in_features));
  if (in_features > 0 || out_features == 0) return {};
  return invalid_argument("shape [{}, 0]: expected at least one column", out_features);
}

// How many bits are set in `count` bytes.
int64_t count_bits(const uint8_t* bytes, int64_t count) {
  int64_t bits = 0, at = 0;
  for (; at + 8 <= count; at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + at, sizeof(word));
    bits += std::popcount(word);
  }
  for (; at < count; ++at) bits += std::popcount(bytes[at]);
  return bits;
}

// [r + 1] holds the count of row r; afterwards [r] is where row r starts.
void counts_to_offsets(std::vector<int64_t>& offsets) {
  for (size_t row = 1; row < offsets.size(); ++row) offsets[row] += offsets[row - 1];
}

// The bits of the values that are not zero; refuses one that is not finite.
template <typename Word>
Status mark_row(const std::byte* weight, int64_t row, BitmapMatrix& packed) {
  uint8_t* bits = packed.bitmask.data() + row * packed.view().bitmask_row_bytes();
  const int64_t first = row * packed.in_features;
  for (int64_t column = 0; column < packed.in_features; ++column) {
    const auto word = Word::load(weight, first + column);
    if (!Word::is_finite(word))
      return numeric_error("row {}, column {}: expected finite values, got NaN or infinity", row, column);
    bits[column / 8] |= static_cast<uint8_t>(static_cast<unsigned>(!Word::is_zero(word)) << column % 8);
  }
  return {};
}

template <typename Word>
void gather_row(const std::byte* weight, int64_t row, BitmapMatrix& packed) {
  const int64_t row_bytes = packed.view().bitmask_row_bytes();
  const uint8_t* bits = packed.bitmask.data() + row * row_bytes;
  int64_t slot = packed.row_offsets[row];
  for (int64_t byte = 0; byte < row_bytes; ++byte)
    for (unsigned rest = bits[byte]; rest != 0; rest &= rest - 1)
      Word::store(packed.values.data(), slot++,
                  Word::load(weight, row * packed.in_features + 8 * byte + std::countr_zero(rest)));
}

template <typename Word>
Status pack_rows(const std::byte* weight, BitmapMatrix& packed) {
  const int64_t rows = packed.out_features, columns = packed.in_features, row_bytes = packed.view().bitmask_row_bytes();
  ESPARSE_RETURN_IF_ERROR(for_each_row(rows, columns, [&](int64_t row) {
    Status status = mark_row<Word>(weight, row, packed);
    packed.row_offsets[row + 1] = count_bits(packed.bitmask.data() + row * row_bytes, row_bytes);
    return status;
  }));
  counts_to_offsets(packed.row_offsets);
  packed.values.resize(packed.view().values_bytes());
  return for_each_row(rows, columns, [&](int64_t row) {
    gather_row<Word>(weight, row, packed);
    return Status();
  });
}

}  // namespace

BitmapView BitmapMatrix::view() const {
  return {dtype, out_features, in_features, values.data(), bitmask.data(), row_offsets.data()};
}

Result<BitmapMatrix> pack_bitmap(DType dtype, std::span<const std::byte> weight, int64_t out_features,
                                 int64_t in_features) {
  ESPARSE_RETURN_IF_ERROR(check_shape(dtype, out_features, in_features));
  ESPARSE_RETURN_IF_ERROR(check_bytes("weight", weight.size(), out_features, in_features * dtype_bytes(dtype)));
  BitmapMatrix packed{dtype, out_features, in_features, {}, {}, {}};
  packed.bitmask.resize(packed.view().bitmask_bytes());
  packed.row_offsets.resize(out_features + 1);
  ESPARSE_RETURN_IF_ERROR(
      with_weight_word(dtype, [&](auto word) { return pack_rows<decltype(word)>(weight.data(), packed); }));
  return packed;
}

std::vector<std::byte> unpack_bitmap(const BitmapView& packed) { return unpack_rows(bit_rows(packed)); }

void unpack_bitmap_rows_f32(const BitmapView& packed, int64_t first, int64_t count, MatrixView<float> target) {
  unpack_rows_f32(bit_rows(packed), first, count, target);
}

Result<std::vector<int64_t>> check_bitmap(DType dtype, int64_t out_features, int64_t in_features,
                                          std::span<const std::byte> values, std::span<const uint8_t> bitmask) {
  ESPARSE_RETURN_IF_ERROR(check_shape(dtype, out_features, in_features));
  const int64_t row_bytes = ceil_div(in_features, 8);
  ESPARSE_RETURN_IF_ERROR(check_bytes("bitmask", bitmask.size(), out_features, row_bytes));
  const auto pad_bits = static_cast<uint8_t>(in_features % 8 == 0 ? 0 : 0xff << in_features % 8);
  std::vector<int64_t> offsets(static_cast<size_t>(out_features) + 1);
  ESPARSE_RETURN_IF_ERROR(for_each_row(out_features, in_features, [&](int64_t row) -> Status {
    const uint8_t* bits = bitmask.data() + row * row_bytes;
    if ((bits[row_bytes - 1] & pad_bits) != 0) return pad_bits_error(row);
    offsets[row + 1] = count_bits(bits, row_bytes);
    return {};
  }));
  counts_to_offsets(offsets);
  const int64_t kept = offsets.back(), width = dtype_bytes(dtype);
  if (values.size() != static_cast<uint64_t>(kept) * static_cast<uint64_t>(width))
    return corruption("values: expected {} of {} bytes, as many as bits are set, got {} bytes", kept, width,
                      values.size());
  ESPARSE_RETURN_IF_ERROR(with_weight_word(dtype, [&](auto word) {
    return for_each_row(out_features, in_features, [&](int64_t row) {
      return check_finite_values<decltype(word)>(values.data(), offsets[row], offsets[row + 1] - offsets[row], row);
    });
  }));
  return offsets;
}

}  // namespace esparse

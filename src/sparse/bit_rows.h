// Rows of kept values with one bit per column: what N:M and bitmap weights look like to a kernel that does not care
// how many columns a group keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/dtype.h"
#include "base/matrix.h"
#include "sparse/bitmap_matrix.h"
#include "sparse/nm_matrix.h"

namespace esparse {

// values: the kept values of all rows one after another, ascending column, unaligned. Row r has those from
// row_offset(r) up to row_offset(r + 1).
// bitmask: [out_features, ceil(in_features / 8)], bit (c mod 8) of byte (c div 8) = column c is kept; pad bits are
// zero. The number of bits set in a row is the number of its values: whoever makes a view has checked that.
struct BitRowsView {
  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  const std::byte* values = nullptr;
  const uint8_t* bitmask = nullptr;
  int64_t kept_per_row = 0;              // where all rows keep as many
  const int64_t* row_offsets = nullptr;  // otherwise [out_features + 1]

  int64_t bitmask_row_bytes() const { return (in_features + 7) / 8; }
  int64_t row_offset(int64_t row) const { return row_offsets != nullptr ? row_offsets[row] : row * kept_per_row; }
  const std::byte* row_values(int64_t row) const { return values + row_offset(row) * dtype_bytes(dtype); }
  const uint8_t* row_bits(int64_t row) const { return bitmask + row * bitmask_row_bytes(); }
  // Rows [first, first + count).
  BitRowsView rows_from(int64_t first, int64_t count) const {
    if (row_offsets != nullptr) return {dtype, count, in_features, values, row_bits(first), 0, row_offsets + first};
    return {dtype, count, in_features, row_values(first), row_bits(first), kept_per_row, nullptr};
  }
};

inline BitRowsView bit_rows(const NmView& nm) {
  return {nm.dtype, nm.out_features, nm.in_features, nm.values, nm.bitmask, nm.kept_per_row(), nullptr};
}
inline BitRowsView bit_rows(const BitmapView& map) {
  return {map.dtype, map.out_features, map.in_features, map.values, map.bitmask, 0, map.row_offsets};
}

// The dense matrix [out, in] as bytes of its type, zeros where nothing is kept.
std::vector<std::byte> unpack_rows(const BitRowsView& packed);
// Rows [first, first + count) as f32 into target [count, in].
void unpack_rows_f32(const BitRowsView& packed, int64_t first, int64_t count, MatrixView<float> target);

}  // namespace esparse

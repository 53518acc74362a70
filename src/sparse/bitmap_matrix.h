// An unstructured weight matrix: the values that are not zero, and one bit per element that says where they stand.
// Byte-level description: docs/formats/bitmap.md. Names of tensors in a checkpoint: bitmap_storage.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/matrix.h"
#include "base/status.h"

namespace esparse {

// Looks at packed bytes (mapped from a file or owned by a BitmapMatrix); the kernels take this.
// values: the kept values of all rows one after another, ascending column, dtype, no alignment promised.
// bitmask: [out_features, ceil(in_features / 8)] bytes, bit (c mod 8) of byte (c div 8) = column c is kept, LSB first;
// pad bits of a row's last byte are zero.
// row_offsets: [out_features + 1]: row r has the values [row_offsets[r], row_offsets[r + 1]), as many as bits set.
struct BitmapView {
  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  const std::byte* values = nullptr;
  const uint8_t* bitmask = nullptr;
  const int64_t* row_offsets = nullptr;

  int64_t kept() const { return row_offsets[out_features]; }
  int64_t bitmask_row_bytes() const { return (in_features + 7) / 8; }
  int64_t values_bytes() const { return kept() * dtype_bytes(dtype); }
  int64_t bitmask_bytes() const { return out_features * bitmask_row_bytes(); }
};

struct BitmapMatrix {
  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  std::vector<std::byte> values;
  std::vector<uint8_t> bitmask;
  std::vector<int64_t> row_offsets;

  BitmapView view() const;  // valid as long as this matrix is neither changed nor destroyed; moving it is fine
};

// Packs `weight` [out, in] stored as `dtype` bytes (f32, f16, bf16; any alignment), row-major: every value that is not
// zero (-0.0 is zero). Refuses NaN and infinity, naming row and column.
Result<BitmapMatrix> pack_bitmap(DType dtype, std::span<const std::byte> weight, int64_t out_features,
                                 int64_t in_features);

// The dense matrix [out, in] as `dtype` bytes: exactly what was packed (with -0.0 as +0.0), bit for bit.
std::vector<std::byte> unpack_bitmap(const BitmapView& packed);
// Rows [first, first + count) as f32 into target [count, in].
void unpack_bitmap_rows_f32(const BitmapView& packed, int64_t first, int64_t count, MatrixView<float> target);

// What a file claims, checked before any kernel sees it: type and sizes, zero pad bits, as many values as bits set, and
// finite values. Gives the row offsets: no file holds them, the bits say where a row starts.
Result<std::vector<int64_t>> check_bitmap(DType dtype, int64_t out_features, int64_t in_features,
                                          std::span<const std::byte> values, std::span<const uint8_t> bitmask);

}  // namespace esparse

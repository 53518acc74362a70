// A weight matrix packed to N:M: the kept values, and one bit per element that says where they stand.
// Byte-level description: docs/formats/nm.md. Names of tensors in a checkpoint: nm_storage.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/matrix.h"
#include "base/status.h"
#include "sparse/pattern.h"

namespace esparse {

// Looks at packed bytes (mapped from a file or owned by an NmMatrix); the kernels take this.
// values: [out_features, kept_per_row()] of dtype, ascending column, row-major, dense (no padding). No alignment is
// promised: mapped values may start at any byte, so they are read through memcpy or unaligned loads.
// bitmask: [out_features, ceil(in_features / 8)] bytes, bit (c mod 8) of byte (c div 8) = column c is kept, LSB first;
// exactly N bits are set in every group of M columns, ceil(N * tail / M) in a shorter last group of `tail` columns, and
// pad bits of the last byte are zero.
struct NmView {
  NmPattern pattern;
  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  const std::byte* values = nullptr;
  const uint8_t* bitmask = nullptr;

  int64_t kept_per_row() const { return pattern.kept_in(in_features); }
  int64_t bitmask_row_bytes() const { return (in_features + 7) / 8; }
  int64_t values_bytes() const { return out_features * kept_per_row() * dtype_bytes(dtype); }
  int64_t bitmask_bytes() const { return out_features * bitmask_row_bytes(); }
};

struct NmMatrix {
  NmPattern pattern;
  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  std::vector<std::byte> values;
  std::vector<uint8_t> bitmask;

  NmView view() const;  // valid as long as this matrix is neither changed nor destroyed; moving it is fine
};

// Packs `weight` [out, in] stored as `dtype` bytes (f32, f16, bf16; any alignment), row-major. A group may hold at most
// as many non-zero values as it keeps (-0.0 counts as zero and is stored as +0.0 when it fills a slot); unused slots
// take the group's lowest free columns.
// Refuses, naming row and group: more non-zeros than that, NaN or infinity.
Result<NmMatrix> pack_nm(NmPattern pattern, DType dtype, std::span<const std::byte> weight, int64_t out_features,
                         int64_t in_features);

// The dense matrix [out, in] as `dtype` bytes: exactly what was packed (with -0.0 as +0.0), bit for bit.
std::vector<std::byte> unpack_nm(const NmView& packed);
// Rows [first, first + count) as f32 into target [count, in].
void unpack_nm_rows_f32(const NmView& packed, int64_t first, int64_t count, MatrixView<float> target);

// What a file claims, checked before any kernel sees it: pattern, type and sizes, as many bits in every group as it
// keeps, zero pad bits, and finite values. Reads the two spans only, never the pointers of `packed`.
Status validate_nm(const NmView& packed, std::span<const std::byte> values, std::span<const uint8_t> bitmask);

}  // namespace esparse

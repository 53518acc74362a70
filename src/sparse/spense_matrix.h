// A Spense weight (arXiv 2606.10445): an N:M region and a dense region, one behind the other along one axis.
// Byte-level description: docs/formats/spense.md. Names of tensors in a checkpoint: spense_storage.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "base/matrix.h"
#include "base/status.h"
#include "sparse/dense_view.h"
#include "sparse/nm_matrix.h"
#include "sparse/nm_tiles.h"
#include "sparse/pattern.h"

namespace esparse {

enum class SpenseSplit : int32_t {
  out = 0,  // the last rows are dense: y = [W_s x ; W_d x]
  in = 1,   // the last columns are dense: y = W_s x_s + W_d x_d
};
std::string_view spense_axis_name(SpenseSplit split);  // what is dense: "rows", "columns"

struct SpenseLayout {
  SpenseSplit split = SpenseSplit::out;
  NmPattern pattern;
  int64_t dense = 0;  // rows or columns at the end that stay dense; at least 1, and at least 1 is left for N:M
  bool operator==(const SpenseLayout&) const = default;
};

// How many of `size` rows or columns stay dense for a fraction between 0 and 1: the N:M region is rounded to whole
// tiles, the dense one takes the rest. A tile is 128, halved until sixteen of them fit into `size`, so that small
// models come within 1/32 of what was asked for. Neither region is empty; 0 when `size` is below 2.
int64_t spense_dense_count(int64_t size, double fraction);

// Looks at the two regions. The N:M region is packed as a checkpoint has it, or in tiles (sparse/nm_tiles.h); both are
// matrices of their own, contiguous, without alignment but for tiles.
struct SpenseView {
  DType dtype = DType::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  SpenseSplit split = SpenseSplit::out;
  std::variant<NmView, NmTilesView> sparse{};
  DenseView dense{};

  int64_t dense_count() const { return split == SpenseSplit::out ? dense.out_features : dense.in_features; }
  NmPattern pattern() const;
  int64_t bytes() const;  // of both regions, as they stand
};

struct SpenseMatrix {
  SpenseSplit split = SpenseSplit::out;
  NmMatrix sparse;
  std::vector<std::byte> dense;  // row-major, of sparse.dtype
  int64_t dense_out_features = 0, dense_in_features = 0;

  SpenseView view() const;  // valid as long as this matrix is neither changed nor destroyed; moving it is fine
};

// Packs `weight` [out, in] stored as `dtype` bytes (f32, f16, bf16; any alignment), row-major. Refuses a layout that
// leaves a region empty, what pack_nm() refuses in the N:M region, and NaN and infinity in the dense one.
Result<SpenseMatrix> pack_spense(const SpenseLayout& layout, DType dtype, std::span<const std::byte> weight,
                                 int64_t out_features, int64_t in_features);

// The dense matrix [out, in] as `dtype` bytes: exactly what was packed (in the N:M region with -0.0 as +0.0). The N:M
// region must not be in tiles.
std::vector<std::byte> unpack_spense(const SpenseView& packed);
// Rows [first, first + count) as f32 into target [count, in]; also from tiles.
void unpack_spense_rows_f32(const SpenseView& packed, int64_t first, int64_t count, MatrixView<float> target);

// What a file claims of the dense region: its size, and finite values.
Status validate_dense_region(const DenseView& dense, std::span<const std::byte> bytes);

}  // namespace esparse

#include "sparse/spense_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "sparse/weight_words.h"

namespace esparse {
namespace {

constexpr int64_t kTile = 128;  // rows or columns that the dense and the N:M kernels like to work on together

// Columns [first, first + columns) of row-major bytes as a matrix of their own.
std::vector<std::byte> copy_columns(DType dtype, std::span<const std::byte> weight, int64_t out_features,
                                    int64_t in_features, int64_t first, int64_t columns) {
  const int64_t width = dtype_bytes(dtype);
  std::vector<std::byte> copy(static_cast<size_t>(out_features * columns * width));
  for (int64_t row = 0; row < out_features; ++row)
    std::memcpy(copy.data() + row * columns * width, weight.data() + (row * in_features + first) * width,
                static_cast<size_t>(columns * width));
  return copy;
}

void unpack_region_rows_f32(const NmView& region, int64_t first, int64_t count, MatrixView<float> target) {
  unpack_nm_rows_f32(region, first, count, target);
}
void unpack_region_rows_f32(const NmTilesView& region, int64_t first, int64_t count, MatrixView<float> target) {
  nm_tiles_rows_f32(region, first, count, target);
}

void widen_rows(const DenseView& dense, int64_t first, int64_t count, MatrixView<float> target) {
  for (int64_t row = 0; row < count; ++row)
    convert_to_f32(dense.dtype, dense.data + (first + row) * dense.row_bytes(), target.row(row));
}

}  // namespace

std::string_view spense_axis_name(SpenseSplit split) { return split == SpenseSplit::out ? "rows" : "columns"; }

int64_t spense_dense_count(int64_t size, double fraction) {
  if (size < 2) return 0;
  int64_t tile = kTile;
  while (tile > 1 && 16 * tile > size) tile /= 2;
  const auto tiles = std::llround((1 - fraction) * static_cast<double>(size) / static_cast<double>(tile));
  return size - std::clamp(static_cast<int64_t>(tiles) * tile, tile, (size - 1) / tile * tile);
}

NmPattern SpenseView::pattern() const {
  const auto* packed = std::get_if<NmView>(&sparse);
  return packed != nullptr ? packed->pattern : std::get<NmTilesView>(sparse).pattern;
}

int64_t SpenseView::bytes() const {
  const auto* packed = std::get_if<NmView>(&sparse);
  return dense.bytes() +
         (packed != nullptr ? packed->values_bytes() + packed->bitmask_bytes() : std::get<NmTilesView>(sparse).bytes());
}

SpenseView SpenseMatrix::view() const {
  const bool out = split == SpenseSplit::out;
  return {sparse.dtype,
          sparse.out_features + (out ? dense_out_features : 0),
          sparse.in_features + (out ? 0 : dense_in_features),
          split,
          sparse.view(),
          DenseView{sparse.dtype, dense_out_features, dense_in_features, dense.data()}};
}

Result<SpenseMatrix> pack_spense(const SpenseLayout& layout, DType dtype, std::span<const std::byte> weight,
                                 int64_t out_features, int64_t in_features) {
  ESPARSE_RETURN_IF_ERROR(check_weight_shape(dtype, out_features, in_features));
  ESPARSE_RETURN_IF_ERROR(check_bytes("weight", weight.size(), out_features, in_features * dtype_bytes(dtype)));
  const bool out = layout.split == SpenseSplit::out;
  const int64_t size = out ? out_features : in_features;
  if (layout.dense < 1 || layout.dense >= size)
    return invalid_argument("spense: expected 1 to {} dense {} of {}, got {}", size - 1, spense_axis_name(layout.split),
                            size, layout.dense);
  const int64_t kept = size - layout.dense;
  SpenseMatrix packed;
  packed.split = layout.split;
  packed.dense_out_features = out ? layout.dense : out_features;
  packed.dense_in_features = out ? in_features : layout.dense;
  if (out) {
    const auto region_bytes = static_cast<size_t>(kept * in_features * dtype_bytes(dtype));
    ESPARSE_ASSIGN_OR_RETURN(packed.sparse,
                             pack_nm(layout.pattern, dtype, weight.first(region_bytes), kept, in_features));
    const auto rest = weight.subspan(region_bytes);
    packed.dense.assign(rest.begin(), rest.end());
  } else {
    const auto region = copy_columns(dtype, weight, out_features, in_features, 0, kept);
    ESPARSE_ASSIGN_OR_RETURN(packed.sparse, pack_nm(layout.pattern, dtype, region, out_features, kept));
    packed.dense = copy_columns(dtype, weight, out_features, in_features, kept, layout.dense);
  }
  ESPARSE_RETURN_IF_ERROR(validate_dense_region(packed.view().dense, packed.dense));
  return packed;
}

std::vector<std::byte> unpack_spense(const SpenseView& packed) {
  const std::vector<std::byte> region = unpack_nm(std::get<NmView>(packed.sparse));
  std::vector<std::byte> weight(
      static_cast<size_t>(packed.out_features * packed.in_features * dtype_bytes(packed.dtype)));
  if (packed.split == SpenseSplit::out) {
    std::copy_n(packed.dense.data, packed.dense.bytes(), std::ranges::copy(region, weight.data()).out);
    return weight;
  }
  const int64_t dense_bytes = packed.dense.row_bytes(), row_bytes = packed.in_features * dtype_bytes(packed.dtype);
  const int64_t region_bytes = row_bytes - dense_bytes;
  for (int64_t row = 0; row < packed.out_features; ++row) {
    std::copy_n(region.data() + row * region_bytes, region_bytes, weight.data() + row * row_bytes);
    std::copy_n(packed.dense.data + row * dense_bytes, dense_bytes, weight.data() + row * row_bytes + region_bytes);
  }
  return weight;
}

void unpack_spense_rows_f32(const SpenseView& packed, int64_t first, int64_t count, MatrixView<float> target) {
  ESPARSE_CHECK(first >= 0 && count >= 0 && first + count <= packed.out_features);
  ESPARSE_CHECK(target.rows >= count && target.cols == packed.in_features);
  const auto region_rows = [&](int64_t from, int64_t rows, MatrixView<float> to) {
    if (rows > 0)
      std::visit([&](const auto& region) { unpack_region_rows_f32(region, from, rows, to); }, packed.sparse);
  };
  if (packed.split == SpenseSplit::in) {
    const int64_t kept = packed.in_features - packed.dense.in_features;
    region_rows(first, count, target.cols_from(0, kept));
    return widen_rows(packed.dense, first, count, target.cols_from(kept, packed.dense.in_features));
  }
  const int64_t kept = packed.out_features - packed.dense.out_features;
  const int64_t sparse_rows = std::clamp<int64_t>(kept - first, 0, count);
  region_rows(first, sparse_rows, target.rows_from(0, sparse_rows));
  widen_rows(packed.dense, first + sparse_rows - kept, count - sparse_rows,
             target.rows_from(sparse_rows, count - sparse_rows));
}

Status validate_dense_region(const DenseView& dense, std::span<const std::byte> bytes) {
  ESPARSE_RETURN_IF_ERROR(check_weight_shape(dense.dtype, dense.out_features, dense.in_features));
  ESPARSE_RETURN_IF_ERROR(check_bytes("dense region", bytes.size(), dense.out_features, dense.row_bytes()));
  return with_weight_word(dense.dtype, [&](auto word) {
    return for_each_row(dense.out_features, dense.in_features, [&](int64_t row) {
      return check_finite_values<decltype(word)>(bytes.data(), row * dense.in_features, dense.in_features, row)
          .with_context("dense region");
    });
  });
}

}  // namespace esparse

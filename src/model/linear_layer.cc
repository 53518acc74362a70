#include "model/linear_layer.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/few.h"
#include "kernels/linear.h"
#include "sparse/bitmap_storage.h"
#include "sparse/nm_storage.h"

namespace esparse {
namespace {

// An exponent of all ones is NaN or infinity in each of the three types.
template <typename Word>
bool any_non_finite(const std::byte* data, int64_t count, Word exponent_mask) {
  bool any = false;
  for (int64_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, data + i * static_cast<int64_t>(sizeof(Word)), sizeof(Word));
    any |= (word & exponent_mask) == exponent_mask;
  }
  return any;
}

bool any_non_finite(DType dtype, const std::byte* data, int64_t count) {
  if (dtype == DType::f32) return any_non_finite<uint32_t>(data, count, 0x7f800000);
  return any_non_finite<uint16_t>(data, count, dtype == DType::bf16 ? uint16_t{0x7f80} : uint16_t{0x7c00});
}

// In slabs whose pages are given back: a table larger than memory is checked without being resident as a whole.
Status check_finite(const TensorStore& store, const TensorInfo& tensor) {
  constexpr int64_t kSlabElements = 8 << 20;
  const int64_t width = dtype_bytes(tensor.dtype), count = tensor.element_count(), columns = tensor.shape.back();
  for (int64_t first = 0; first < count; first += kSlabElements) {
    const int64_t elements = std::min(kSlabElements, count - first);
    const auto slab = tensor.data.subspan(static_cast<size_t>(first * width), static_cast<size_t>(elements * width));
    if (const int64_t bad = find_non_finite(tensor.dtype, slab.data(), elements); bad >= 0)
      return numeric_error("tensor {}: row {}, column {} is NaN or infinite", tensor.name, (first + bad) / columns,
                           (first + bad) % columns);
    store.release_pages(slab);
  }
  return {};
}

}  // namespace

int64_t find_non_finite(DType dtype, const std::byte* data, int64_t count) {
  constexpr int64_t kPiece = 1 << 16;
  const int64_t bytes = dtype_bytes(dtype);
  std::atomic<int64_t> first_bad_piece{INT64_MAX};
  parallel_for(ceil_div(count, kPiece), [&](int64_t piece, int) {
    const int64_t begin = piece * kPiece;
    if (!any_non_finite(dtype, data + begin * bytes, std::min(kPiece, count - begin))) return;
    int64_t seen = first_bad_piece;
    while (piece < seen && !first_bad_piece.compare_exchange_weak(seen, piece)) {
    }
  });
  if (first_bad_piece == INT64_MAX) return -1;
  for (int64_t i = first_bad_piece * kPiece;; ++i)
    if (any_non_finite(dtype, data + i * bytes, 1)) return i;
}

Result<std::vector<float>> load_f32(const TensorStore& store, const std::string& name,
                                    const std::vector<int64_t>& shape) {
  ESPARSE_ASSIGN_OR_RETURN(const TensorInfo tensor, store.get(name, shape));
  if (!is_weight_dtype(tensor.dtype))
    return unsupported("tensor {}: expected F32, F16 or BF16, got {}", name, dtype_name(tensor.dtype));
  if (const int64_t bad = find_non_finite(tensor.dtype, tensor.data.data(), tensor.element_count()); bad >= 0)
    return numeric_error("tensor {}: element {} is NaN or infinite", name, bad);
  std::vector<float> values(static_cast<size_t>(tensor.element_count()));
  convert_to_f32(tensor.dtype, tensor.data.data(), values);
  return values;
}

Result<LinearLayer> LinearLayer::load(const TensorStore& store, const std::string& name, int64_t out_features,
                                      int64_t in_features, bool has_bias) {
  LinearLayer layer;
  layer.name_ = name;
  if (has_bitmap(store, name)) {
    ESPARSE_ASSIGN_OR_RETURN(LoadedBitmap packed, load_bitmap(store, name, out_features, in_features));
    const BitmapView view = packed.view;
    layer.set_weight(view, std::make_shared<const LoadedBitmap>(std::move(packed)));
    store.release_pages(name + ".weight.");
  } else if (has_nm(store, name)) {
    ESPARSE_ASSIGN_OR_RETURN(const NmView packed, load_nm(store, name, out_features, in_features));
    layer.set_weight(packed, nullptr);
    store.release_pages(name + ".weight.");  // load_nm() has looked at all of them
  } else {
    ESPARSE_ASSIGN_OR_RETURN(const TensorInfo tensor, store.get(name + ".weight", {out_features, in_features}));
    if (!is_weight_dtype(tensor.dtype))
      return unsupported("tensor {}: expected F32, F16 or BF16, got {}", tensor.name, dtype_name(tensor.dtype));
    ESPARSE_RETURN_IF_ERROR(check_finite(store, tensor));
    layer.set_weight(DenseView{tensor.dtype, out_features, in_features, tensor.data.data()}, nullptr);
  }
  if (has_bias) {
    ESPARSE_ASSIGN_OR_RETURN(layer.bias_, load_f32(store, name + ".bias", {out_features}));
  }
  return layer;
}

void LinearLayer::set_weight(const WeightView& weight, std::shared_ptr<const void> owner) {
  weight_ = weight;
  owner_ = std::move(owner);
  plan_ = default_plan(weight);
}

DType LinearLayer::dtype() const {
  return std::visit([](const auto& view) { return view.dtype; }, weight_);
}

int64_t LinearLayer::weight_bytes() const {
  if (const auto* packed = std::get_if<NmView>(&weight_)) return packed->values_bytes() + packed->bitmask_bytes();
  if (const auto* map = std::get_if<BitmapView>(&weight_)) return map->values_bytes() + map->bitmask_bytes();
  if (const auto* tiles = std::get_if<NmTilesView>(&weight_)) return tiles->bytes();
  return out_features() * in_features() * dtype_bytes(dtype());
}

void LinearLayer::apply(MatrixView<const float> x, MatrixView<float> y) const { linear(weight_, x, bias_, y, plan_); }

Matrix<float> LinearLayer::weight_as_f32() const {
  Matrix<float> result(out_features(), in_features());
  if (const auto* packed = std::get_if<NmView>(&weight_)) {
    unpack_nm_rows_f32(*packed, 0, out_features(), result.view());
  } else if (const auto* map = std::get_if<BitmapView>(&weight_)) {
    unpack_bitmap_rows_f32(*map, 0, out_features(), result.view());
  } else if (const auto* tiles = std::get_if<NmTilesView>(&weight_)) {
    nm_tiles_rows_f32(*tiles, 0, out_features(), result.view());
  } else {
    convert_to_f32(dtype(), std::get<DenseView>(weight_).data, result.values());
  }
  return result;
}

void LinearLayer::set_dense(std::vector<std::byte> bytes) {
  ESPARSE_CHECK(static_cast<int64_t>(bytes.size()) == out_features() * in_features() * dtype_bytes(dtype()));
  const auto owned = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  set_weight(DenseView{dtype(), out_features(), in_features(), owned->data()}, owned);
}

void LinearLayer::set_packed(NmMatrix packed) {
  ESPARSE_CHECK(packed.out_features == out_features() && packed.in_features == in_features());
  const auto owned = std::make_shared<const NmMatrix>(std::move(packed));
  set_weight(owned->view(), owned);
}

void LinearLayer::set_packed(BitmapMatrix packed) {
  ESPARSE_CHECK(packed.out_features == out_features() && packed.in_features == in_features());
  const auto owned = std::make_shared<const BitmapMatrix>(std::move(packed));
  set_weight(owned->view(), owned);
}

bool LinearLayer::arrange_for_running() {
  const auto* packed = std::get_if<NmView>(&weight_);
  if (packed == nullptr || !runs_in_tiles(*packed)) return false;
  const auto owned = std::make_shared<const NmTiles>(make_nm_tiles(*packed));
  set_weight(owned->view(), owned);
  return true;
}

void LinearLayer::permute(std::span<const int32_t> rows, std::span<const int32_t> columns) {
  if (rows.empty() && columns.empty()) return;
  const DenseView from = std::get<DenseView>(weight_);
  ESPARSE_CHECK(rows.empty() || static_cast<int64_t>(rows.size()) == from.out_features);
  ESPARSE_CHECK(columns.empty() || static_cast<int64_t>(columns.size()) == from.in_features);
  const int64_t width = dtype_bytes(from.dtype);
  std::vector<std::byte> permuted(static_cast<size_t>(from.out_features * from.row_bytes()));
  for (int64_t i = 0; i < from.out_features; ++i) {
    const std::byte* old_row = from.data + (rows.empty() ? i : rows[i]) * from.row_bytes();
    std::byte* new_row = permuted.data() + i * from.row_bytes();
    if (columns.empty()) std::memcpy(new_row, old_row, from.row_bytes());
    for (size_t k = 0; k < columns.size(); ++k) std::memcpy(new_row + k * width, old_row + columns[k] * width, width);
  }
  set_dense(std::move(permuted));
  if (rows.empty() || bias_.empty()) return;
  std::vector<float> bias(bias_.size());
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = bias_[rows[i]];
  bias_ = std::move(bias);
}

}  // namespace esparse

#include "gpu/device_weight.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/parallel.h"
#include "kernels/cuda/few_bits.h"
#include "kernels/cuda/linear_parts.h"
#include "kernels/cuda/tile_layout.h"
#include "sparse/bit_rows.h"

namespace esparse {
namespace {

DType host_type(cuda::Element type) { return type == cuda::Element::f16 ? DType::f16 : DType::bf16; }

// The values in another type, on all threads, a run at a time so that the f32 copies stay small.
std::vector<std::byte> converted(DType from, const std::byte* source, int64_t count, DType to) {
  constexpr int64_t kRun = 1 << 14;
  std::vector<std::byte> target(static_cast<size_t>(count * dtype_bytes(to)));
  parallel_for_sized((count + kRun - 1) / kRun, count, [&](int64_t run, int) {
    const int64_t first = run * kRun, size = std::min(kRun, count - first);
    std::vector<float> values(static_cast<size_t>(size));
    convert_to_f32(from, source + first * dtype_bytes(from), values);
    convert_from_f32(to, values, target.data() + first * dtype_bytes(to));
  });
  return target;
}

// 16-bit values with `padding` readable bytes behind them.
Result<DeviceBytes> upload_values(Device& device, DType from, const std::byte* source, int64_t count,
                                  cuda::Element type, int64_t padding) {
  const DType to = host_type(type);
  std::vector<std::byte> of_type;
  if (from != to) of_type = converted(from, source, count, to), source = of_type.data();
  ESPARSE_ASSIGN_OR_RETURN(DeviceBytes memory, device.allocate(2 * count + padding, "weight"));
  if (count > 0)
    ESPARSE_RETURN_IF_ERROR(device.upload_to(memory.data(), std::span(source, static_cast<size_t>(2 * count))));
  return memory;
}

Result<DeviceDense> upload_dense(Device& device, const DenseView& view, cuda::Element type) {
  DeviceDense dense;
  dense.rows = view.out_features, dense.columns = view.in_features, dense.stride = (view.in_features + 7) / 8 * 8;
  if (dense.stride == dense.columns) {
    ESPARSE_ASSIGN_OR_RETURN(dense.data,
                             upload_values(device, view.dtype, view.data, dense.rows * dense.columns, type, 0));
    return dense;
  }
  const auto element = static_cast<int64_t>(dtype_bytes(view.dtype));
  std::vector<std::byte> padded(static_cast<size_t>(dense.rows * dense.stride * element));
  for (int64_t row = 0; row < dense.rows; ++row)
    std::memcpy(padded.data() + row * dense.stride * element, view.data + row * view.row_bytes(),
                static_cast<size_t>(view.row_bytes()));
  ESPARSE_ASSIGN_OR_RETURN(dense.data,
                           upload_values(device, view.dtype, padded.data(), dense.rows * dense.stride, type, 0));
  return dense;
}

Result<DeviceBits> upload_bits(Device& device, const BitRowsView& view, cuda::Element type) {
  DeviceBits bits;
  bits.rows = view.out_features, bits.columns = view.in_features, bits.kept_per_row = view.kept_per_row;
  const int64_t count = view.row_offset(view.out_features);
  ESPARSE_ASSIGN_OR_RETURN(bits.values,
                           upload_values(device, view.dtype, view.values, count, type, cuda::kBitValuesPadding));
  const auto mask = std::span(view.bitmask, static_cast<size_t>(view.out_features * view.bitmask_row_bytes()));
  ESPARSE_ASSIGN_OR_RETURN(bits.bitmask, device.upload(std::as_bytes(mask), "weight"));
  if (view.row_offsets == nullptr) return bits;
  const auto offsets = std::span(view.row_offsets, static_cast<size_t>(view.out_features + 1));
  ESPARSE_ASSIGN_OR_RETURN(bits.row_offsets, device.upload(std::as_bytes(offsets), "weight"));
  return bits;
}

// Which patterns are two of four columns in every whole group.
bool fits_gpu_tiles(NmPattern pattern) { return pattern == NmPattern{2, 4} || pattern == NmPattern{1, 2}; }

Result<DeviceTiles> rearranged(Device& device, const DeviceBits& bits) {
  DeviceTiles tiles;
  tiles.rows = bits.rows, tiles.columns = bits.columns;
  const cuda::TileLayout layout{bits.rows, bits.columns};
  ESPARSE_ASSIGN_OR_RETURN(tiles.data, device.allocate(layout.bytes(), "weight"));
  const cuda::MakeTilesArgs args{
      {bits.values.as<uint16_t>(), bits.bitmask.as<uint8_t>(), nullptr, bits.kept_per_row, bits.rows, bits.columns},
      tiles.data.as<uint8_t>()};
  ESPARSE_RETURN_IF_ERROR(device.launched(device.backend().linear_parts->make_tiles(args, device.stream()),
                                          "make_tiles", {bits.rows, bits.columns}));
  ESPARSE_RETURN_IF_ERROR(device.synchronize());  // the packed form is freed now
  return tiles;
}

Result<std::variant<DeviceTiles, DeviceBits>> upload_nm(Device& device, const NmView& view, cuda::Element type) {
  ESPARSE_ASSIGN_OR_RETURN(DeviceBits bits, upload_bits(device, bit_rows(view), type));
  if (!fits_gpu_tiles(view.pattern)) return std::variant<DeviceTiles, DeviceBits>(std::move(bits));
  ESPARSE_ASSIGN_OR_RETURN(DeviceTiles tiles, rearranged(device, bits));
  return std::variant<DeviceTiles, DeviceBits>(std::move(tiles));
}

// Tiles of the CPU become packed again.
Result<NmMatrix> packed_again(const NmTilesView& tiles) {
  Matrix<float> rows(tiles.out_features, tiles.in_features);
  nm_tiles_rows_f32(tiles, 0, tiles.out_features, rows.view());
  std::vector<std::byte> bytes(static_cast<size_t>(tiles.out_features * tiles.in_features * dtype_bytes(tiles.dtype)));
  convert_from_f32(tiles.dtype, std::span(rows.data(), static_cast<size_t>(tiles.out_features * tiles.in_features)),
                   bytes.data());
  return pack_nm(tiles.pattern, tiles.dtype, bytes, tiles.out_features, tiles.in_features);
}
Result<std::variant<DeviceTiles, DeviceBits>> upload_nm(Device& device, const NmTilesView& view, cuda::Element type) {
  ESPARSE_ASSIGN_OR_RETURN(const NmMatrix packed, packed_again(view));
  return upload_nm(device, packed.view(), type);
}

struct Uploader {
  Device& device;
  DeviceWeight& weight;

  Status operator()(const DenseView& view) const {
    ESPARSE_ASSIGN_OR_RETURN(weight.parts, upload_dense(device, view, weight.type));
    return {};
  }
  Status operator()(const NmView& view) const { return sparse(view); }
  Status operator()(const NmTilesView& view) const { return sparse(view); }
  Status operator()(const BitmapView& view) const {
    ESPARSE_ASSIGN_OR_RETURN(weight.parts, upload_bits(device, bit_rows(view), weight.type));
    return {};
  }
  Status operator()(const SpenseView& view) const {
    DeviceSpense spense;
    spense.split = view.split;
    auto region = std::visit([&](const auto& of) { return upload_nm(device, of, weight.type); }, view.sparse);
    ESPARSE_ASSIGN_OR_RETURN(spense.sparse, std::move(region));
    ESPARSE_ASSIGN_OR_RETURN(spense.dense, upload_dense(device, view.dense, weight.type));
    weight.parts = std::move(spense);
    return {};
  }

  template <typename View>
  Status sparse(const View& view) const {
    ESPARSE_ASSIGN_OR_RETURN(auto region, upload_nm(device, view, weight.type));
    std::visit([&](auto&& form) { weight.parts = std::move(form); }, std::move(region));
    return {};
  }
};

int64_t bytes_of(const DeviceDense& dense) { return dense.data.bytes(); }
int64_t bytes_of(const DeviceTiles& tiles) {
  return tiles.data.bytes() + (tiles.library_copy != nullptr ? tiles.library_copy->bytes() : 0);
}
int64_t bytes_of(const DeviceBits& bits) {
  return bits.values.bytes() + bits.bitmask.bytes() + bits.row_offsets.bytes();
}
int64_t bytes_of(const DeviceSpense& spense) {
  return bytes_of(spense.dense) + std::visit([](const auto& sparse) { return bytes_of(sparse); }, spense.sparse);
}

// The tiles of a weight that has some.
template <typename Weight>
auto* tiles_of(Weight& weight) {
  if (auto* spense = std::get_if<DeviceSpense>(&weight.parts)) return std::get_if<DeviceTiles>(&spense->sparse);
  return std::get_if<DeviceTiles>(&weight.parts);
}

}  // namespace

bool DeviceWeight::has_library_copy() const {
  const DeviceTiles* tiles = tiles_of(*this);
  return tiles != nullptr && tiles->library_copy != nullptr;
}

DeviceForm DeviceWeight::form() const {
  if (std::holds_alternative<DeviceDense>(parts)) return DeviceForm::dense;
  if (std::holds_alternative<DeviceTiles>(parts)) return DeviceForm::tiles;
  if (std::holds_alternative<DeviceBits>(parts)) return DeviceForm::bits;
  const bool of_tiles = std::holds_alternative<DeviceTiles>(std::get<DeviceSpense>(parts).sparse);
  return of_tiles ? DeviceForm::spense_tiles : DeviceForm::spense_bits;
}

int64_t DeviceWeight::bytes() const {
  return std::visit([](const auto& part) { return bytes_of(part); }, parts);
}

cuda::Element device_element(DType dtype) { return dtype == DType::f16 ? cuda::Element::f16 : cuda::Element::bf16; }

Result<DeviceWeight> upload_weight(Device& device, const WeightView& weight, cuda::Element type) {
  if (type == cuda::Element::f32) return invalid_argument("weight on a GPU: type must be bf16 or f16, got f32");
  DeviceWeight result;
  result.out_features = weight_out_features(weight), result.in_features = weight_in_features(weight);
  result.type = type, result.multiprocessors = device.info().multiprocessors;
  ESPARSE_RETURN_IF_ERROR(std::visit(Uploader{device, result}, weight));
  result.plan = default_plan(result.form(), device.info());
  return result;
}

Status add_library_copy(Device& device, DeviceWeight& weight) {
  DeviceTiles* const tiles = tiles_of(weight);
  if (tiles == nullptr) return unsupported("sparse library: expected 2:4, got {}", form_name(weight.form()));
  const cuda::SparseLibrary* library = device.backend().sparse_library;
  if (library == nullptr)
    return unsupported("{}: this build has no library for sparse products", device.backend().name);
  ESPARSE_RETURN_IF_ERROR(cuda::check_library_weight(tiles->rows, tiles->columns, weight.type));
  if (weight.in_features % cuda::SparseLibrary::kTokenMultiple != 0)
    return unsupported("sparse library: expected rows of x of a multiple of 8 values, got {}", weight.in_features);
  ESPARSE_ASSIGN_OR_RETURN(const DeviceBytes dense,
                           device.allocate(2 * tiles->rows * tiles->columns, "dense weight for the sparse library"));
  const cuda::ExpandTilesArgs args{tiles->data.as<uint8_t>(), tiles->columns, 0, tiles->rows,
                                   dense.as<uint16_t>(),      tiles->columns};
  ESPARSE_RETURN_IF_ERROR(device.launched(device.backend().linear_parts->expand_tiles(args, device.stream()),
                                          "expand_tiles", {tiles->rows, tiles->columns}));
  ESPARSE_ASSIGN_OR_RETURN(tiles->library_copy,
                           library->compress(dense.data(), tiles->rows, tiles->columns, weight.type, device.stream()));
  weight.plan = default_plan(weight.form(), device.info(), true);
  return {};
}

}  // namespace esparse

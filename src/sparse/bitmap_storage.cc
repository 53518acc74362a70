#include "sparse/bitmap_storage.h"

#include "sparse/nm_storage.h"
#include "sparse/packed_tensors.h"

namespace esparse {
namespace {

std::string values_name(const std::string& prefix) { return prefix + ".weight.bitmap_values"; }
std::string bitmask_name(const std::string& prefix) { return prefix + ".weight.bitmap_bitmask"; }
std::string shape_name(const std::string& prefix) { return prefix + ".weight.bitmap_shape"; }

// Version, out, in.
Result<std::array<int32_t, 3>> load_shape(const TensorStore& store, const std::string& prefix) {
  if (store.find(prefix + ".weight") != nullptr || has_nm(store, prefix)) {
    return corruption(
        "linear \"{0}\": expected one of \"{0}.weight\", \"{0}.weight.nm_*\" and \"{0}.weight.bitmap_*\", got several",
        prefix);
  }
  ESPARSE_ASSIGN_OR_RETURN(const auto record, load_record<3>(store, shape_name(prefix)));
  if (record[0] == kBitmapFormatVersion) return record;
  return unsupported(
      "tensor \"{}\": expected format version {}, got {}: the file was written by another version of esparse",
      shape_name(prefix), kBitmapFormatVersion, record[0]);
}

// The values tensor, one dimension of any length: the bits say which one is right.
Result<TensorInfo> find_values(const TensorStore& store, const std::string& prefix) {
  const TensorInfo* values = store.find(values_name(prefix));
  if (values == nullptr) return store.get(values_name(prefix), {0});  // the store's error for a missing tensor
  if (values->shape.size() == 1) return *values;
  return corruption("tensor \"{}\": expected one dimension, got {}", values->name, values->shape_text());
}

}  // namespace

bool has_bitmap(const TensorStore& store, const std::string& prefix) {
  return store.find(values_name(prefix)) != nullptr || store.find(bitmask_name(prefix)) != nullptr ||
         store.find(shape_name(prefix)) != nullptr;
}

Result<LoadedBitmap> load_bitmap(const TensorStore& store, const std::string& prefix, int64_t out_features,
                                 int64_t in_features) {
  ESPARSE_ASSIGN_OR_RETURN(const auto record, load_shape(store, prefix));
  const Status shape = check_configured_shape(record[1], record[2], out_features, in_features);
  if (!shape.ok()) return shape.with_context(fmt::format("tensor \"{}\"", shape_name(prefix)));
  return load_bitmap(store, prefix);
}

Result<LoadedBitmap> load_bitmap(const TensorStore& store, const std::string& prefix) {
  ESPARSE_ASSIGN_OR_RETURN(const auto record, load_shape(store, prefix));
  LoadedBitmap loaded;
  BitmapView& view = loaded.view;
  view.out_features = record[1];
  view.in_features = record[2];
  ESPARSE_ASSIGN_OR_RETURN(const TensorInfo values, find_values(store, prefix));
  ESPARSE_ASSIGN_OR_RETURN(const TensorInfo bitmask,
                           store.get(bitmask_name(prefix), {view.out_features, view.bitmask_row_bytes()}));
  ESPARSE_RETURN_IF_ERROR(check_packed_types(values, bitmask));
  view.dtype = values.dtype;
  view.values = values.data.data();
  view.bitmask = reinterpret_cast<const uint8_t*>(bitmask.data.data());
  auto offsets =
      check_bitmap(view.dtype, view.out_features, view.in_features, values.data, {view.bitmask, bitmask.data.size()});
  if (!offsets.ok()) return offsets.status().with_context(fmt::format("tensors \"{}.weight.bitmap_*\"", prefix));
  loaded.row_offsets = std::move(offsets).value();
  view.row_offsets = loaded.row_offsets.data();
  return loaded;
}

void append_bitmap_tensors(const BitmapView& packed, const std::string& prefix, BitmapShapeRecords& records,
                           std::vector<TensorInfo>& tensors) {
  const auto& record = records.emplace_back(std::array<int32_t, 3>{
      kBitmapFormatVersion, static_cast<int32_t>(packed.out_features), static_cast<int32_t>(packed.in_features)});
  tensors.push_back({values_name(prefix),
                     packed.dtype,
                     {packed.kept()},
                     {packed.values, static_cast<size_t>(packed.values_bytes())}});
  tensors.push_back(
      {bitmask_name(prefix),
       DType::u8,
       {packed.out_features, packed.bitmask_row_bytes()},
       {reinterpret_cast<const std::byte*>(packed.bitmask), static_cast<size_t>(packed.bitmask_bytes())}});
  tensors.push_back({shape_name(prefix), DType::i32, {3}, std::as_bytes(std::span(record))});
}

}  // namespace esparse

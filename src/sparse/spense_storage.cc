#include "sparse/spense_storage.h"

#include "sparse/bitmap_storage.h"
#include "sparse/nm_storage.h"
#include "sparse/packed_tensors.h"

namespace esparse {
namespace {

std::string values_name(const std::string& prefix) { return prefix + ".weight.spense_values"; }
std::string bitmask_name(const std::string& prefix) { return prefix + ".weight.spense_bitmask"; }
std::string dense_name(const std::string& prefix) { return prefix + ".weight.spense_dense"; }
std::string shape_name(const std::string& prefix) { return prefix + ".weight.spense_shape"; }

using Record = std::array<int32_t, 7>;  // version, split, N, M, out, in, dense

// The shapes of both regions, without their bytes.
Result<SpenseView> parse_shape(const Record& record) {
  const auto [version, split, kept, group, out, in, dense] = record;
  if (version != kSpenseFormatVersion)
    return unsupported("expected format version {}, got {}: the file was written by another version of esparse",
                       kSpenseFormatVersion, version);
  if (split != static_cast<int32_t>(SpenseSplit::out) && split != static_cast<int32_t>(SpenseSplit::in))
    return corruption("split: expected 0 (rows) or 1 (columns), got {}", split);
  NmView region{.pattern = {kept, group}, .out_features = out, .in_features = in};
  if (!region.pattern.valid())
    return corruption("expected N:M with 1 <= N < M <= {}, got {}", NmPattern::kMaxGroup, region.pattern.text());
  if (out < 0 || in < 0) return corruption("expected a shape without negative sizes, got [{}, {}]", out, in);
  SpenseView view{.out_features = out, .in_features = in, .split = static_cast<SpenseSplit>(split)};
  view.dense = {.out_features = out, .in_features = in};
  const bool by_rows = view.split == SpenseSplit::out;
  const int32_t size = by_rows ? out : in;
  if (dense < 1 || dense >= size)
    return corruption("dense: expected 1 to {} of {} {}, got {}", size - 1, size, spense_axis_name(view.split), dense);
  (by_rows ? view.dense.out_features : view.dense.in_features) = dense;
  (by_rows ? region.out_features : region.in_features) = size - dense;
  view.sparse = region;
  return view;
}

Result<SpenseView> load_shape(const TensorStore& store, const std::string& prefix) {
  if (store.find(prefix + ".weight") != nullptr || has_nm(store, prefix) || has_bitmap(store, prefix))
    return corruption(
        "linear \"{0}\": expected one of \"{0}.weight\", \"{0}.weight.nm_*\", \"{0}.weight.bitmap_*\" and "
        "\"{0}.weight.spense_*\", got several",
        prefix);
  ESPARSE_ASSIGN_OR_RETURN(const Record record, load_record<7>(store, shape_name(prefix)));
  Result<SpenseView> parsed = parse_shape(record);
  if (!parsed.ok()) return parsed.status().with_context(fmt::format("tensor \"{}\"", shape_name(prefix)));
  return parsed;
}

Status load_nm_region(const TensorStore& store, const std::string& prefix, SpenseView& view) {
  auto& region = std::get<NmView>(view.sparse);
  ESPARSE_ASSIGN_OR_RETURN(const TensorInfo values,
                           store.get(values_name(prefix), {region.out_features, region.kept_per_row()}));
  ESPARSE_ASSIGN_OR_RETURN(const TensorInfo bitmask,
                           store.get(bitmask_name(prefix), {region.out_features, region.bitmask_row_bytes()}));
  ESPARSE_RETURN_IF_ERROR(check_packed_types(values, bitmask));
  view.dtype = region.dtype = values.dtype;
  region.values = values.data.data();
  region.bitmask = reinterpret_cast<const uint8_t*>(bitmask.data.data());
  const Status status = validate_nm(region, values.data, {region.bitmask, bitmask.data.size()});
  return status.ok() ? status : status.with_context(fmt::format("tensors \"{}.weight.spense_*\"", prefix));
}

Status load_dense_region(const TensorStore& store, const std::string& prefix, SpenseView& view) {
  ESPARSE_ASSIGN_OR_RETURN(const TensorInfo dense,
                           store.get(dense_name(prefix), {view.dense.out_features, view.dense.in_features}));
  if (dense.dtype != view.dtype)
    return corruption("tensor \"{}\": expected {}, the type of the kept values, got {}", dense.name,
                      dtype_name(view.dtype), dtype_name(dense.dtype));
  view.dense.dtype = dense.dtype;
  view.dense.data = dense.data.data();
  const Status status = validate_dense_region(view.dense, dense.data);
  return status.ok() ? status : status.with_context(fmt::format("tensor \"{}\"", dense.name));
}

}  // namespace

bool has_spense(const TensorStore& store, const std::string& prefix) {
  return store.find(values_name(prefix)) != nullptr || store.find(bitmask_name(prefix)) != nullptr ||
         store.find(dense_name(prefix)) != nullptr || store.find(shape_name(prefix)) != nullptr;
}

Result<SpenseView> load_spense(const TensorStore& store, const std::string& prefix) {
  ESPARSE_ASSIGN_OR_RETURN(SpenseView view, load_shape(store, prefix));
  ESPARSE_RETURN_IF_ERROR(load_nm_region(store, prefix, view));
  ESPARSE_RETURN_IF_ERROR(load_dense_region(store, prefix, view));
  return view;
}

Result<SpenseView> load_spense(const TensorStore& store, const std::string& prefix, int64_t out_features,
                               int64_t in_features) {
  ESPARSE_ASSIGN_OR_RETURN(const SpenseView view, load_shape(store, prefix));
  const Status shape = check_configured_shape(view.out_features, view.in_features, out_features, in_features);
  if (!shape.ok()) return shape.with_context(fmt::format("tensor \"{}\"", shape_name(prefix)));
  return load_spense(store, prefix);
}

void append_spense_tensors(const SpenseView& packed, const std::string& prefix, SpenseShapeRecords& records,
                           std::vector<TensorInfo>& tensors) {
  const auto& region = std::get<NmView>(packed.sparse);
  const auto& record = records.emplace_back(
      Record{kSpenseFormatVersion, static_cast<int32_t>(packed.split), region.pattern.kept, region.pattern.group,
             static_cast<int32_t>(packed.out_features), static_cast<int32_t>(packed.in_features),
             static_cast<int32_t>(packed.dense_count())});
  tensors.push_back({values_name(prefix),
                     region.dtype,
                     {region.out_features, region.kept_per_row()},
                     {region.values, static_cast<size_t>(region.values_bytes())}});
  tensors.push_back(
      {bitmask_name(prefix),
       DType::u8,
       {region.out_features, region.bitmask_row_bytes()},
       {reinterpret_cast<const std::byte*>(region.bitmask), static_cast<size_t>(region.bitmask_bytes())}});
  tensors.push_back({dense_name(prefix),
                     packed.dtype,
                     {packed.dense.out_features, packed.dense.in_features},
                     {packed.dense.data, static_cast<size_t>(packed.dense.bytes())}});
  tensors.push_back({shape_name(prefix), DType::i32, {7}, std::as_bytes(std::span(record))});
}

}  // namespace esparse

#include "sparse/nm_storage.h"

#include "sparse/packed_tensors.h"

namespace esparse {
namespace {

std::string values_name(const std::string& prefix) { return prefix + ".weight.nm_values"; }
std::string bitmask_name(const std::string& prefix) { return prefix + ".weight.nm_bitmask"; }
std::string shape_name(const std::string& prefix) { return prefix + ".weight.nm_shape"; }

// Pattern and shape from the nm_shape tensor, compared with what the model's configuration asks for.
Result<NmView> parse_shape(const std::array<int32_t, 5>& record, int64_t out_features, int64_t in_features) {
  const auto [version, kept, group, out, in] = record;
  if (version < kNmWholeGroupsVersion || version > kNmFormatVersion) {
    return unsupported("expected format version {} to {}, got {}: the file was written by another version of esparse",
                       kNmWholeGroupsVersion, kNmFormatVersion, version);
  }
  NmView view;
  view.pattern = {kept, group};
  view.out_features = out;
  view.in_features = in;
  if (!view.pattern.valid()) {
    return corruption("expected N:M with 1 <= N < M <= {}, got {}", NmPattern::kMaxGroup, view.pattern.text());
  }
  ESPARSE_RETURN_IF_ERROR(check_configured_shape(out, in, out_features, in_features));
  if (version == kNmWholeGroupsVersion && in % group != 0)
    return corruption("in_features {}: expected a multiple of {} in format version {}", in, group, version);
  return view;
}

}  // namespace

bool has_nm(const TensorStore& store, const std::string& prefix) {
  return store.find(values_name(prefix)) != nullptr || store.find(bitmask_name(prefix)) != nullptr ||
         store.find(shape_name(prefix)) != nullptr;
}

Result<NmView> load_nm(const TensorStore& store, const std::string& prefix, int64_t out_features, int64_t in_features) {
  if (store.find(prefix + ".weight") != nullptr) {
    return corruption("tensor \"{0}.weight\": expected either it or the packed \"{0}.weight.nm_*\", got both", prefix);
  }
  ESPARSE_ASSIGN_OR_RETURN(const auto record, load_record<5>(store, shape_name(prefix)));
  Result<NmView> parsed = parse_shape(record, out_features, in_features);
  if (!parsed.ok()) return parsed.status().with_context(fmt::format("tensor \"{}\"", shape_name(prefix)));
  NmView view = std::move(parsed).value();

  ESPARSE_ASSIGN_OR_RETURN(const TensorInfo values,
                           store.get(values_name(prefix), {out_features, view.kept_per_row()}));
  ESPARSE_ASSIGN_OR_RETURN(const TensorInfo bitmask,
                           store.get(bitmask_name(prefix), {out_features, view.bitmask_row_bytes()}));
  ESPARSE_RETURN_IF_ERROR(check_packed_types(values, bitmask));
  view.dtype = values.dtype;
  view.values = values.data.data();
  view.bitmask = reinterpret_cast<const uint8_t*>(bitmask.data.data());
  const Status status = validate_nm(view, values.data, {view.bitmask, bitmask.data.size()});
  if (!status.ok()) return status.with_context(fmt::format("tensors \"{}.weight.nm_*\"", prefix));
  return view;
}

void append_nm_tensors(const NmView& packed, const std::string& prefix, NmShapeRecords& records,
                       std::vector<TensorInfo>& tensors) {
  const bool whole_groups = packed.in_features % packed.pattern.group == 0;
  const auto& record = records.emplace_back(std::array<int32_t, 5>{
      whole_groups ? kNmWholeGroupsVersion : kNmFormatVersion, packed.pattern.kept, packed.pattern.group,
      static_cast<int32_t>(packed.out_features), static_cast<int32_t>(packed.in_features)});
  tensors.push_back({values_name(prefix),
                     packed.dtype,
                     {packed.out_features, packed.kept_per_row()},
                     {packed.values, static_cast<size_t>(packed.values_bytes())}});
  tensors.push_back(
      {bitmask_name(prefix),
       DType::u8,
       {packed.out_features, packed.bitmask_row_bytes()},
       {reinterpret_cast<const std::byte*>(packed.bitmask), static_cast<size_t>(packed.bitmask_bytes())}});
  tensors.push_back({shape_name(prefix), DType::i32, {5}, std::as_bytes(std::span(record))});
}

}  // namespace esparse

#include "io/safetensors_writer.h"

#include <cstdint>
#include <set>
#include <string_view>

#include "base/checked.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/quote_name.h"
#include "io/safetensors.h"

namespace esparse {
namespace {

constexpr size_t kHeaderAlignment = 8;  // so that the data section starts aligned for every type

// A JSON string, or an error for text that is not UTF-8.
Result<std::string> json_string(const std::string& text) {
  try {
    return Json(text).dump();
  } catch (const Json::exception&) {
    return invalid_argument("{}: expected UTF-8", quote_name(text));
  }
}

Status check_tensor(const TensorInfo& tensor) {
  if (tensor.name == "__metadata__") return invalid_argument("a tensor cannot be named \"__metadata__\"");
  const auto count = checked_product(tensor.shape);
  const auto bytes = count ? checked_mul(*count, dtype_bytes(tensor.dtype)) : std::nullopt;
  if (!bytes) return invalid_argument("tensor {}: shape {} is too large", quote_name(tensor.name), tensor.shape_text());
  if (*bytes != static_cast<int64_t>(tensor.data.size())) {
    return invalid_argument("tensor {}: expected {} bytes for {} {}, got {}", quote_name(tensor.name), *bytes,
                            dtype_name(tensor.dtype), tensor.shape_text(), tensor.data.size());
  }
  return {};
}

Result<std::string> metadata_text(const std::map<std::string, std::string>& metadata) {
  std::string text = "\"__metadata__\":{";
  for (const auto& [key, value] : metadata) {
    ESPARSE_ASSIGN_OR_RETURN(const std::string key_text, json_string(key));
    ESPARSE_ASSIGN_OR_RETURN(const std::string value_text, json_string(value));
    if (!text.ends_with('{')) text += ',';
    text += key_text + ":" + value_text;
  }
  return text + "}";
}

// Keys stand in the order of the data, so that the same input gives the same bytes and a reader can stream.
Result<std::string> header_json(std::span<const TensorInfo> tensors,
                                const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    ESPARSE_ASSIGN_OR_RETURN(const std::string entry, metadata_text(metadata));
    text += entry;
  }
  std::set<std::string_view> names;
  int64_t offset = 0;
  for (const TensorInfo& tensor : tensors) {
    ESPARSE_RETURN_IF_ERROR(check_tensor(tensor));
    if (!names.insert(tensor.name).second) return invalid_argument("tensor {}: given twice", quote_name(tensor.name));
    ESPARSE_ASSIGN_OR_RETURN(const std::string name, json_string(tensor.name));
    const int64_t end = offset + static_cast<int64_t>(tensor.data.size());
    if (text.size() > 1) text += ',';
    text += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", name,
                        dtype_name(tensor.dtype), fmt::join(tensor.shape, ","), offset, end);
    offset = end;
  }
  text += '}';
  text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  if (text.size() > size_t{kSafetensorsHeaderCapBytes}) {
    return invalid_argument("expected a header of at most {} bytes, got {}", kSafetensorsHeaderCapBytes, text.size());
  }
  return text;
}

}  // namespace

Status write_safetensors(const std::filesystem::path& path, std::span<const TensorInfo> tensors,
                         const std::map<std::string, std::string>& metadata) {
  Result<std::string> header = header_json(tensors, metadata);
  if (!header.ok()) return header.status().with_context(path.string());
  ESPARSE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  const uint64_t length = header->size();
  ESPARSE_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(&length, 1))));
  ESPARSE_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(*header))));
  for (const TensorInfo& tensor : tensors) ESPARSE_RETURN_IF_ERROR(file.write(tensor.data));
  return file.commit();
}

}  // namespace esparse

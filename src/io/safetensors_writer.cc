#include "io/safetensors_writer.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>

#include "base/checked.h"
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

Result<int64_t> data_bytes(const TensorInfo& tensor) {
  const auto count = checked_product(tensor.shape);
  const auto bytes = count ? checked_mul(*count, dtype_bytes(tensor.dtype)) : std::nullopt;
  if (!bytes) return invalid_argument("tensor {}: shape {} is too large", quote_name(tensor.name), tensor.shape_text());
  return *bytes;
}

Status check_data(const TensorInfo& tensor) {
  ESPARSE_ASSIGN_OR_RETURN(const int64_t bytes, data_bytes(tensor));
  if (bytes == static_cast<int64_t>(tensor.data.size())) return {};
  return invalid_argument("tensor {}: expected {} bytes for {} {}, got {}", quote_name(tensor.name), bytes,
                          dtype_name(tensor.dtype), tensor.shape_text(), tensor.data.size());
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

struct Header {
  std::string json;
  int64_t data_bytes = 0;
};

// Keys stand in the order of the data, so that the same input gives the same bytes and a reader can stream.
Result<Header> make_header(std::span<const TensorInfo> tensors, const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    ESPARSE_ASSIGN_OR_RETURN(const std::string entry, metadata_text(metadata));
    text += entry;
  }
  std::set<std::string_view> names;
  int64_t offset = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name == "__metadata__") return invalid_argument("a tensor cannot be named \"__metadata__\"");
    ESPARSE_ASSIGN_OR_RETURN(const int64_t bytes, data_bytes(tensor));
    if (!names.insert(tensor.name).second) return invalid_argument("tensor {}: given twice", quote_name(tensor.name));
    ESPARSE_ASSIGN_OR_RETURN(const std::string name, json_string(tensor.name));
    const auto end = checked_add(offset, bytes);
    if (!end) return invalid_argument("tensor {}: the file would exceed 2^63 bytes", quote_name(tensor.name));
    if (text.size() > 1) text += ',';
    text += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", name,
                        dtype_name(tensor.dtype), fmt::join(tensor.shape, ","), offset, *end);
    offset = *end;
  }
  text += '}';
  text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  if (text.size() > size_t{kSafetensorsHeaderCapBytes}) {
    return invalid_argument("expected a header of at most {} bytes, got {}", kSafetensorsHeaderCapBytes, text.size());
  }
  return Header{std::move(text), offset};
}

// A slab at a time, so that a large tensor of a mapped file is not resident as a whole.
Status append_tensor(SafetensorsStream& stream, std::span<const std::byte> data, const TensorStore* source) {
  constexpr size_t kSlabBytes = size_t{16} << 20;
  while (!data.empty()) {
    const auto slab = data.first(std::min(kSlabBytes, data.size()));
    ESPARSE_RETURN_IF_ERROR(stream.append(slab));
    if (source != nullptr) source->release_pages(slab);
    data = data.subspan(slab.size());
  }
  return {};
}

}  // namespace

Result<SafetensorsStream> SafetensorsStream::create(const std::filesystem::path& path,
                                                    std::span<const TensorInfo> layout,
                                                    const std::map<std::string, std::string>& metadata) {
  const Result<Header> header = make_header(layout, metadata);
  if (!header.ok()) return header.status().with_context(path.string());
  ESPARSE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  const uint64_t length = header->json.size();
  ESPARSE_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(&length, 1))));
  ESPARSE_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(header->json))));
  return SafetensorsStream(std::move(file), path.string(), header->data_bytes);
}

Status SafetensorsStream::append(std::span<const std::byte> bytes) {
  if (static_cast<int64_t>(bytes.size()) > missing_bytes_) {
    return internal_error("{}: {} bytes of tensors are missing, got {}", label_, missing_bytes_, bytes.size());
  }
  missing_bytes_ -= static_cast<int64_t>(bytes.size());
  return file_.write(bytes);
}

Status SafetensorsStream::commit() {
  if (missing_bytes_ != 0) return internal_error("{}: {} bytes of tensors are missing", label_, missing_bytes_);
  return file_.commit();
}

Status write_safetensors(const std::filesystem::path& path, std::span<const TensorInfo> tensors,
                         const std::map<std::string, std::string>& metadata, const TensorStore* source) {
  for (const TensorInfo& tensor : tensors) {
    if (const Status status = check_data(tensor); !status.ok()) return status.with_context(path.string());
  }
  ESPARSE_ASSIGN_OR_RETURN(SafetensorsStream stream, SafetensorsStream::create(path, tensors, metadata));
  for (const TensorInfo& tensor : tensors) ESPARSE_RETURN_IF_ERROR(append_tensor(stream, tensor.data, source));
  return stream.commit();
}

}  // namespace esparse

#include "io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <string_view>
#include <vector>

#include "base/checked.h"
#include "io/json.h"
#include "io/quote_name.h"

namespace esparse {
namespace {

constexpr size_t kLengthBytes = 8;  // little-endian length of the header, before it

// Sizes and offsets: integers in [0, 2^63).
std::optional<int64_t> non_negative_integer(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<uint64_t>();
  if (number > uint64_t{std::numeric_limits<int64_t>::max()}) return std::nullopt;
  return static_cast<int64_t>(number);
}

struct ByteRange {
  int64_t begin = 0;
  int64_t end = 0;
  const std::string* name = nullptr;
};

Result<std::vector<int64_t>> parse_shape(const Json& value, const std::string& label) {
  if (!value.is_array()) return corruption("{}: shape: expected an array, got {}", label, value.type_name());
  std::vector<int64_t> shape;
  for (const Json& entry : value) {
    const auto dim = non_negative_integer(entry);
    if (!dim) return corruption("{}: shape: expected integers in [0, 2^63), got {}", label, quote_name(entry.dump()));
    shape.push_back(*dim);
  }
  return shape;
}

Result<ByteRange> parse_offsets(const Json& value, int64_t data_bytes, const std::string& label) {
  if (!value.is_array() || value.size() != 2) {
    return corruption("{}: data_offsets: expected [begin, end], got {}", label, quote_name(value.dump()));
  }
  const auto begin = non_negative_integer(value[0]), end = non_negative_integer(value[1]);
  if (!begin || !end) {
    return corruption("{}: data_offsets: expected two integers in [0, 2^63), got {}", label, quote_name(value.dump()));
  }
  if (*begin > *end) return corruption("{}: data_offsets: begin {} lies behind end {}", label, *begin, *end);
  if (*end > data_bytes) {
    return corruption("{}: data_offsets: end {} lies behind the file's {} data bytes (is the file cut short?)", label,
                      *end, data_bytes);
  }
  return ByteRange{*begin, *end, nullptr};
}

struct Entry {
  TensorInfo tensor;
  ByteRange range;
};

// One "name": {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}; `label` names file and tensor.
Result<Entry> parse_entry(const Json& value, std::span<const std::byte> data, const std::string& label) {
  if (!value.is_object()) return corruption("{}: expected an object, got {}", label, value.type_name());
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    if (!value.contains(key)) return corruption("{}: key \"{}\" is missing", label, key);
  }
  if (value.size() != 3) {
    return corruption("{}: expected exactly dtype, shape and data_offsets, got {} keys", label, value.size());
  }
  const Json& dtype_value = value["dtype"];
  if (!dtype_value.is_string())
    return corruption("{}: dtype: expected a string, got {}", label, dtype_value.type_name());
  const auto& dtype_text = dtype_value.get_ref<const std::string&>();
  const auto dtype = dtype_from_name(dtype_text);
  if (!dtype) return unsupported("{}: dtype {} is not known", label, quote_name(dtype_text));

  Entry entry;
  entry.tensor.dtype = *dtype;
  ESPARSE_ASSIGN_OR_RETURN(entry.tensor.shape, parse_shape(value["shape"], label));
  ESPARSE_ASSIGN_OR_RETURN(entry.range, parse_offsets(value["data_offsets"], static_cast<int64_t>(data.size()), label));
  const auto count = checked_product(entry.tensor.shape);
  const auto bytes = count ? checked_mul(*count, dtype_bytes(*dtype)) : std::nullopt;
  if (!bytes) return corruption("{}: shape {} overflows 64 bits", label, quote_name(entry.tensor.shape_text()));
  const int64_t length = entry.range.end - entry.range.begin;
  if (*bytes != length) {
    return corruption("{}: expected {} bytes for {} {}, got {}", label, *bytes, dtype_text, entry.tensor.shape_text(),
                      length);
  }
  entry.tensor.data = data.subspan(static_cast<size_t>(entry.range.begin), static_cast<size_t>(length));
  return entry;
}

Result<std::map<std::string, std::string>> parse_metadata(const Json& value, const std::string& label) {
  if (!value.is_object()) return corruption("{}: __metadata__: expected an object, got {}", label, value.type_name());
  std::map<std::string, std::string> metadata;
  for (const auto& [key, entry] : value.items()) {
    if (!entry.is_string()) {
      return corruption("{}: __metadata__: key {}: expected a string, got {}", label, quote_name(key),
                        entry.type_name());
    }
    metadata.emplace(key, entry.get_ref<const std::string&>());
  }
  return metadata;
}

// The ranges must tile [0, data_bytes): what no tensor names could hide anything, and overlaps are never meant.
Status check_coverage(std::vector<ByteRange> ranges, int64_t data_bytes, const std::string& label) {
  std::sort(ranges.begin(), ranges.end(), [](const ByteRange& a, const ByteRange& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  int64_t covered = 0;
  for (const ByteRange& range : ranges) {
    if (range.begin != covered) {
      return corruption("{}: tensor {}: data begins at {}, expected {}: {}", label, quote_name(*range.name),
                        range.begin, covered, range.begin > covered ? "a hole" : "it overlaps another tensor");
    }
    covered = range.end;
  }
  if (covered != data_bytes) {
    return corruption("{}: the tensors cover {} of {} data bytes", label, covered, data_bytes);
  }
  return {};
}

Result<std::string_view> header_text(std::span<const std::byte> bytes, const std::string& label) {
  if (bytes.size() < kLengthBytes) {
    return corruption("{}: expected at least {} bytes, got {}", label, kLengthBytes, bytes.size());
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > uint64_t{kSafetensorsHeaderCapBytes}) {
    return corruption("{}: expected a header of at most {} bytes, got {} (not a safetensors file?)", label,
                      kSafetensorsHeaderCapBytes, length);
  }
  if (length > bytes.size() - kLengthBytes) {
    return corruption("{}: expected a header of {} bytes, got {} (is the file cut short?)", label, length,
                      bytes.size() - kLengthBytes);
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + kLengthBytes;
  if (length == 0 || text[0] != '{') return corruption("{}: expected a header that begins with '{{'", label);
  return std::string_view(text, static_cast<size_t>(length));
}

Result<SafetensorsHeader> parse_checked(std::span<const std::byte> bytes, const std::string& label) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string_view text, header_text(bytes, label));
  ESPARSE_ASSIGN_OR_RETURN(const Json document, parse_json(text, label));
  const auto data = bytes.subspan(kLengthBytes + text.size());
  SafetensorsHeader header;
  std::vector<ByteRange> ranges;
  for (const auto& [name, value] : document.items()) {
    if (name == "__metadata__") {
      ESPARSE_ASSIGN_OR_RETURN(header.metadata, parse_metadata(value, label));
      continue;
    }
    ESPARSE_ASSIGN_OR_RETURN(Entry entry,
                             parse_entry(value, data, fmt::format("{}: tensor {}", label, quote_name(name))));
    entry.tensor.name = name;
    const auto place = header.tensors.emplace(name, std::move(entry.tensor)).first;
    entry.range.name = &place->first;
    ranges.push_back(entry.range);
  }
  ESPARSE_RETURN_IF_ERROR(check_coverage(std::move(ranges), static_cast<int64_t>(data.size()), label));
  return header;
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> bytes, const std::string& label) {
  try {
    return parse_checked(bytes, label);
  } catch (const std::bad_alloc&) {
    return make_status(StatusKind::out_of_memory, "{}: not enough memory for the header", label);
  }
}

}  // namespace esparse

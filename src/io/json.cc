// Builds the document from the parser's events, because the library's own builder lets the last of two equal keys win.
#include "io/json.h"

#include <limits>
#include <new>
#include <vector>

#include "io/files.h"
#include "io/quote_name.h"

namespace esparse {
namespace {

constexpr size_t kMaxDepth = 128;                        // configurations nest fewer than ten levels
constexpr int64_t kMaxJsonFileBytes = int64_t{1} << 28;  // the largest tokenizer.json are around 40 MB
constexpr size_t kMaxDetailBytes = 300;                  // of the parser's own message, which may quote the input

class DocumentBuilder {
 public:
  Json root;
  std::string error;

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return fail("binary values are not JSON"); }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    const auto [entry, inserted] = open_.back()->emplace(name, nullptr);
    if (!inserted) return fail(fmt::format("duplicate key {}", quote_name(name)));
    slot_ = &*entry;
    return true;
  }

  bool parse_error(size_t, const std::string&, const std::exception& exception) {
    std::string detail = exception.what();
    if (const size_t prefix = detail.find("] "); prefix != std::string::npos) detail.erase(0, prefix + 2);
    if (detail.size() > kMaxDetailBytes) detail = detail.substr(0, kMaxDetailBytes) + "...";
    return fail(detail);
  }

 private:
  bool fail(std::string message) {
    error = std::move(message);
    return false;
  }

  // Puts the value where the document stands; the place stays valid until its container gets the next value.
  Json* place(Json value) {
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json container) {
    if (open_.size() == kMaxDepth) return fail(fmt::format("nested deeper than {} levels", kMaxDepth));
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<Json*> open_;  // containers from the root to where the document stands
  Json* slot_ = nullptr;     // value of the last key
};

// What stands there instead, short enough for a message.
std::string describe(const Json& value) {
  if (value.is_object() || value.is_array()) return fmt::format("an {}", value.type_name());
  if (value.is_string()) return quote_name(value.get_ref<const std::string&>());
  return value.dump();
}

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& label) {
  // The parser takes a zero byte for the end of its input, so anything could follow it.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return corruption("{}: invalid JSON: zero byte at offset {}", label, zero);
  }
  try {
    DocumentBuilder builder;
    if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
      return corruption("{}: invalid JSON: {}", label, builder.error);
    }
    return std::move(builder.root);
  } catch (const std::bad_alloc&) {
    return make_status(StatusKind::out_of_memory, "{}: not enough memory for {} bytes of JSON", label, text.size());
  } catch (const std::exception& exception) {
    return corruption("{}: invalid JSON: {}", label, exception.what());
  }
}

Result<Json> read_json(const std::filesystem::path& path) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxJsonFileBytes));
  return parse_json(text, path.string());
}

const Json& JsonFields::raw(std::string_view key) const {
  static const Json kNull;
  if (!object_.is_object()) return kNull;
  const auto entry = object_.find(key);
  return entry == object_.end() ? kNull : *entry;
}

bool JsonFields::has(std::string_view key) const { return !raw(key).is_null(); }

Status JsonFields::missing(std::string_view key) const {
  if (!object_.is_object()) return corruption("{}: expected an object, got {}", label_, describe(object_));
  return corruption("{}: key {} is missing", label_, quote_name(key));
}

Status JsonFields::mismatch(std::string_view key, std::string_view expected) const {
  return corruption("{}: key {}: expected {}, got {}", label_, quote_name(key), expected, describe(raw(key)));
}

Result<int64_t> JsonFields::integer(std::string_view key) const {
  const Json& value = raw(key);
  if (value.is_null()) return missing(key);
  if (!value.is_number_integer()) return mismatch(key, "an integer");
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
    return mismatch(key, "an integer below 2^63");
  }
  return value.get<int64_t>();
}

Result<int64_t> JsonFields::integer(std::string_view key, int64_t fallback) const {
  if (!has(key)) return fallback;
  return integer(key);
}

Result<double> JsonFields::number(std::string_view key) const {
  const Json& value = raw(key);
  if (value.is_null()) return missing(key);
  if (!value.is_number()) return mismatch(key, "a number");
  return value.get<double>();
}

Result<double> JsonFields::number(std::string_view key, double fallback) const {
  if (!has(key)) return fallback;
  return number(key);
}

Result<bool> JsonFields::boolean(std::string_view key, bool fallback) const {
  const Json& value = raw(key);
  if (value.is_null()) return fallback;
  if (!value.is_boolean()) return mismatch(key, "true or false");
  return value.get<bool>();
}

Result<std::string> JsonFields::string(std::string_view key) const {
  const Json& value = raw(key);
  if (value.is_null()) return missing(key);
  if (!value.is_string()) return mismatch(key, "a string");
  return value.get<std::string>();
}

Result<std::string> JsonFields::string(std::string_view key, std::string_view fallback) const {
  if (!has(key)) return std::string(fallback);
  return string(key);
}

}  // namespace esparse

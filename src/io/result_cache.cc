#include "io/result_cache.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "io/files.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

fs::path ResultCache::path_of(const Json& key) const {
  Fingerprint fingerprint;
  fingerprint.add(dump(key));
  return directory_ / fmt::format("{:016x}.json", fingerprint.value());
}

std::optional<Json> ResultCache::find(const Json& key) const {
  auto entry = read_json(path_of(key));
  if (!entry.ok() || !entry->is_object() || !entry->contains("key") || !entry->contains("value")) return {};
  if (dump(entry->at("key")) != dump(key)) return {};
  return std::move(entry->at("value"));
}

Status ResultCache::store(const Json& key, const Json& value) const {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) return io_error("{}: {}", directory_.string(), error.message());
  return write_file_atomically(path_of(key), dump({{"key", key}, {"value", value}}, 1) + "\n");
}

}  // namespace esparse

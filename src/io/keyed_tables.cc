#include "io/keyed_tables.h"

#include "io/files.h"

namespace esparse {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMaxFileBytes = 16 << 20;  // some thousand times what a machine needs
constexpr size_t kMaxTables = 32;            // a home directory that many machines share

}  // namespace

Result<Json> read_keyed_tables(const fs::path& path, const KeyedTablesFormat& format) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return Json(Json::array());
  ESPARSE_ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxFileBytes));
  ESPARSE_ASSIGN_OR_RETURN(const Json document, parse_json(text, path.string()));
  const JsonFields fields(document, path.string());
  ESPARSE_ASSIGN_OR_RETURN(const int64_t version, fields.integer("version"));
  if (version != format.version) return Json(Json::array());
  const Json& tables = fields.raw("tables");
  if (!tables.is_array()) return corruption("{}: tables: expected an array", path.string());
  for (const Json& table : tables)
    if (!table.is_object() || !table.contains("key") || !table["key"].is_object() || !table.contains(format.member))
      return corruption("{}: tables: expected objects with key and {}", path.string(), format.member);
  return tables;
}

Status write_keyed_tables(const fs::path& path, const KeyedTablesFormat& format, const Json& key, const Json& content,
                          const std::function<bool(const JsonFields& key)>& replaces) {
  const auto old_tables = read_keyed_tables(path, format);
  Json tables = Json::array();
  if (old_tables.ok()) {
    for (const Json& old : *old_tables)
      if (!replaces(JsonFields(old["key"], ""))) tables.push_back(old);
  }
  while (tables.size() >= kMaxTables) tables.erase(0);
  tables.push_back({{"key", key}, {format.member, content}});
  std::error_code error;
  fs::create_directories(fs::absolute(path).parent_path(), error);
  if (error) return io_error("{}: cannot make its directory: {}", path.string(), error.message());
  return write_file_atomically(path, Json({{"version", format.version}, {"tables", tables}}).dump(1) + "\n");
}

}  // namespace esparse

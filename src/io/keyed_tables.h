// A file of measurements that hold for one machine each: JSON {"version": N, "tables": [{"key": {...}, MEMBER: ...}]}.
// A cache: it may be removed at any time, and is shared by the machines of one home directory.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/status.h"
#include "io/json.h"

namespace esparse {

struct KeyedTablesFormat {
  int64_t version = 1;
  std::string member;  // what stands beside "key" in a table
};

// An array of tables, each an object whose "key" is one and which has the member; an empty array where there is no file
// or one of another version. Errors (the file is damaged or cannot be read) name the file.
Result<Json> read_keyed_tables(const std::filesystem::path& path, const KeyedTablesFormat& format);

// Puts {key, member: content} in the place of the tables whose key it `replaces`; the others stay, the oldest go beyond
// 32. A damaged file is replaced. Makes the directory. The file appears as a whole; of two programs at the same time
// the last one wins.
Status write_keyed_tables(const std::filesystem::path& path, const KeyedTablesFormat& format, const Json& key,
                          const Json& content, const std::function<bool(const JsonFields& key)>& replaces);

}  // namespace esparse

// What search_plans() found, kept on disk from one run to the next. JSON, a cache: it may be removed at any time.
#pragma once

#include <filesystem>
#include <string>

#include "base/status.h"
#include "runtime/plan_search.h"

namespace esparse {

// Times hold for this alone.
struct PlanKey {
  std::string cpu;     // model name
  std::string isa;     // of our kernels
  int threads = 0;     // thread_count()
  std::string binary;  // a hash of the executable: other kernels, other times
  bool operator==(const PlanKey&) const = default;
};
Result<PlanKey> this_plan_key();

// $XDG_CACHE_HOME/esparse/plans.json, or ~/.cache/esparse/plans.json; empty when the environment names neither.
std::filesystem::path default_plan_file();

// The table of `key`; an empty one where the file, its version or the key is another or not there. Errors (the file is
// damaged or cannot be read) name the file.
Result<PlanTable> read_plan_file(const std::filesystem::path& path, const PlanKey& key);

// Puts the table of `key` in the place of the one of this processor, instruction set and thread count; those of others
// stay. Makes the directory. The file is replaced as a whole; of two programs at the same time the last one wins.
Status write_plan_file(const std::filesystem::path& path, const PlanKey& key, const PlanTable& table);

}  // namespace esparse

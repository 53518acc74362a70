// Which algorithm of a vendor's library is fastest for a product, kept on disk from one run to the next: JSON, a cache
// that may be removed at any time. Shared by all libraries.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace esparse::cuda {

// Times, and what the bytes of an algorithm mean, hold for this alone.
struct LibraryPlanKey {
  std::string gpu;      // "NVIDIA H200"
  int driver = 0;       // as CUDA counts
  std::string library;  // "cuBLASLt"
  int64_t library_version = 0;
};

struct LibraryPlan {
  std::vector<uint8_t> algorithm;  // as the library has it
  int64_t workspace_bytes = 0;
  double seconds = 0;  // measured with cold operands
};

using LibraryPlanTable = std::map<std::string, LibraryPlan>;  // by product: "16x4096x14336 bf16 ..."

// $XDG_CACHE_HOME/esparse/gpu-plans.json, or below ~/.cache; empty when the environment names neither.
std::filesystem::path default_library_plan_file();

// The table of `key`; an empty one where the file, its version or the key is another or not there. Errors (the file is
// damaged or cannot be read) name the file.
Result<LibraryPlanTable> read_library_plans(const std::filesystem::path& path, const LibraryPlanKey& key);

// Puts the table in the place of the one of this GPU and library, of whatever versions; those of others stay. Makes
// the directory. The file is replaced as a whole; of two programs at the same time the last one wins.
Status write_library_plans(const std::filesystem::path& path, const LibraryPlanKey& key, const LibraryPlanTable& table);

// A table in memory with its file. Whatever is wrong with the file costs a search and gives one warning.
class LibraryPlans {
 public:
  // With an empty path in memory alone.
  LibraryPlans(std::filesystem::path path, LibraryPlanKey key);

  const LibraryPlan* find(const std::string& product) const;
  void add(const std::string& product, LibraryPlan plan);
  // Those since the last call.
  std::vector<Status> take_warnings() { return std::exchange(warnings_, {}); }

 private:
  std::filesystem::path path_;
  LibraryPlanKey key_;
  LibraryPlanTable table_;
  std::vector<Status> warnings_;
  bool writable_ = true;
};

}  // namespace esparse::cuda

// A file that appears under its name complete or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "base/status.h"

namespace esparse {

// Written under a temporary name in the same directory, then renamed by commit(). Without commit() the destructor
// removes it. Move-only.
class AtomicFile {
 public:
  // The parent must exist; `path` must be a regular file or nothing yet.
  static Result<AtomicFile> create(const std::filesystem::path& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);
  // Flushes to the disk and renames.
  Status commit();

 private:
  AtomicFile() = default;
  std::filesystem::path final_;
  std::filesystem::path temporary_;  // empty once committed or moved from
  int descriptor_ = -1;
};

// The directory that holds `path`: "." for a bare name.
std::filesystem::path parent_directory(const std::filesystem::path& path);
// ".<name>.<tag>-<pid>" beside `path`; later attempts differ, for a leftover of a process that had the same pid.
std::filesystem::path sibling_name(const std::filesystem::path& path, const char* tag, int attempt);
inline constexpr int kSiblingAttempts = 100;
// Best effort: makes a rename in `directory` survive a power cut where the file system can.
void sync_directory(const std::filesystem::path& directory);

}  // namespace esparse

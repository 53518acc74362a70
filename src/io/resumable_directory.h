// An output directory for long work: what was written stays when the work is interrupted, and a later run goes on
// from there.
#pragma once

#include <filesystem>

#include "base/status.h"

namespace esparse {

// Filled under the name ".<name>.esparse-partial" beside its own and renamed by commit(). Unlike an OutputDirectory it
// stays where it is when it is not committed (an empty one is removed). Locked for one process at a time through
// ".<name>.esparse-lock" beside it; the lock ends with the process, however that ends. Move-only.
class ResumableDirectory {
 public:
  // Creates the working directory or goes on with the one that is there. Refuses what OutputDirectory::create()
  // refuses, a working directory that another process has locked, and one that is a link, a file or another user's.
  static Result<ResumableDirectory> open(const std::filesystem::path& path, bool force);

  ResumableDirectory(ResumableDirectory&& other) noexcept;
  ResumableDirectory& operator=(ResumableDirectory&&) = delete;
  ~ResumableDirectory();

  const std::filesystem::path& path() const { return working_; }  // write here
  // Whether open() found something in it.
  bool has_leftovers() const { return has_leftovers_; }
  // Removes all that is in it: for work that begins anew.
  Status clear();
  // Makes it the output; a directory that `force` lets it replace goes only now.
  Status commit();

 private:
  ResumableDirectory() = default;
  Status lock();
  Status open_working();

  std::filesystem::path final_;
  std::filesystem::path working_;  // empty once committed or moved from
  std::filesystem::path lock_path_;
  int lock_descriptor_ = -1;
  bool force_ = false;
  bool has_leftovers_ = false;
};

}  // namespace esparse

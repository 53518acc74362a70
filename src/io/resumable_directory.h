// An output directory for long work: what was written stays when the work is interrupted, and a later run goes on
// from there.
#pragma once

#include <filesystem>

#include "base/status.h"

namespace esparse {

// Stands as ".<name>.esparse-partial" beside its own name: a directory `output`, renamed by commit(), and whatever the
// work needs to go on. Unlike an OutputDirectory it stays where it is when it is not committed (an empty one is
// removed). Locked for one process at a time through ".<name>.esparse-lock" beside it; the lock ends with the process,
// however that ends. Move-only.
class ResumableDirectory {
 public:
  // Creates the working directory or goes on with the one that is there. Refuses what OutputDirectory::create()
  // refuses, a working directory that another process has locked, and one that is a link, a file or another user's.
  static Result<ResumableDirectory> open(const std::filesystem::path& path, bool force);

  ResumableDirectory(ResumableDirectory&& other) noexcept;
  ResumableDirectory& operator=(ResumableDirectory&&) = delete;
  ~ResumableDirectory();

  std::filesystem::path path() const { return working_ / "output"; }      // write what is to appear here
  const std::filesystem::path& working_path() const { return working_; }  // and what only the work needs here
  // Whether open() found something in either of them.
  bool has_leftovers() const { return has_leftovers_; }
  // Removes all that is in both: for work that begins anew.
  Status clear();
  // Makes path() the output, at once, and then removes the rest; a directory that `force` lets it replace goes only
  // now.
  Status commit();

 private:
  ResumableDirectory() = default;
  Status lock();
  Status open_working();
  Status check_working(int reason) const;

  std::filesystem::path final_;
  std::filesystem::path working_;  // empty once committed or moved from
  std::filesystem::path lock_path_;
  int lock_descriptor_ = -1;
  bool force_ = false;
  bool has_leftovers_ = false;
};

}  // namespace esparse

// Whole files in and out, and output directories that appear complete or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/status.h"

namespace esparse {

// The whole file; refuses one larger than `max_bytes`, a directory, and what cannot be read.
Result<std::string> read_file(const std::filesystem::path& path, int64_t max_bytes = int64_t{1} << 34);

// Writes to a temporary name, flushes, renames; on failure nothing is left behind. Refuses a missing parent directory
// and a path that is there but no regular file.
Status write_file_atomically(const std::filesystem::path& path, std::string_view contents);

// "plans.json" -> $XDG_CACHE_HOME/esparse/plans.json, or below ~/.cache; empty when the environment names neither.
std::filesystem::path cache_file(std::string_view name);

// A directory that is filled under a temporary name beside its own and renamed by commit(). Without commit() the
// destructor removes it. Move-only.
class OutputDirectory {
 public:
  // Refuses a missing parent, and an existing `path` unless `force`; with `force` the old directory is moved aside,
  // replaced and removed at commit(). Anything but a real directory (a file, a link) and a directory that holds the
  // working directory are never replaced.
  static Result<OutputDirectory> create(const std::filesystem::path& path, bool force);

  OutputDirectory(OutputDirectory&& other) noexcept;
  OutputDirectory& operator=(OutputDirectory&&) = delete;
  ~OutputDirectory();

  const std::filesystem::path& path() const { return temporary_; }  // write here
  Status commit();

 private:
  OutputDirectory() = default;
  std::filesystem::path final_;
  std::filesystem::path temporary_;  // empty once committed or moved from
  bool force_ = false;
};

// Copies the files of `source` (links to files included, directories not) that are not weights (*.safetensors,
// *.index.json, *.bin, *.pt, *.pth, *.gguf, *.onnx, *.h5, *.msgpack) and not hidden into `target`: configuration,
// tokenizer, licence, model card. A file that `target` has already is kept.
Status copy_side_files(const std::filesystem::path& source, const std::filesystem::path& target);

}  // namespace esparse

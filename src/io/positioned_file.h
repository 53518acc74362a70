// A file that is read and written at given places; every failure is a Status that names the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/status.h"

namespace esparse {

// Move-only. Calls for places that do not overlap may come from several threads.
class PositionedFile {
 public:
  // An empty file for reading and writing, in place of what was there.
  static Result<PositionedFile> create(const std::filesystem::path& path);
  // An existing regular file, for reading and writing.
  static Result<PositionedFile> open(const std::filesystem::path& path);

  PositionedFile(PositionedFile&& other) noexcept;
  PositionedFile& operator=(PositionedFile&&) = delete;
  ~PositionedFile();

  const std::filesystem::path& path() const { return path_; }
  Result<int64_t> size() const;
  // Gives the file `bytes` zero bytes, on the disk where the file system can: a disk that is too small says so now and
  // not after hours of work.
  Status reserve(int64_t bytes);
  // All of `target`; corruption when the file ends before.
  Status read_at(int64_t offset, std::span<std::byte> target) const;
  Status write_at(int64_t offset, std::span<const std::byte> source);
  // Flushes the contents to the disk. Refuses a file that has lost its name meanwhile.
  Status sync();

 private:
  PositionedFile(std::filesystem::path path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace esparse

// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "base/status.h"

namespace esparse {

// Move-only; the bytes stay valid as long as the object lives. Reading a file that another process truncates
// meanwhile is undefined, as with every mapping.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Takes the whole pages inside `range` out of this process's memory; they are read from the file again when they are
  // touched. Bytes outside this mapping (memory of another origin, say) are left alone. Thread-safe.
  void release_pages(std::span<const std::byte> range) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace esparse

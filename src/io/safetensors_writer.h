// Writes one safetensors file: header padded with spaces to 8 bytes, tensors in the given order, no holes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "base/status.h"
#include "io/atomic_file.h"
#include "io/tensor.h"
#include "io/tensor_store.h"

namespace esparse {

// Writes to a temporary name beside `path`, flushes to the disk and renames; on failure (a full disk, say) nothing is
// left behind and the error names the path. Refuses duplicate names and data whose size differs from shape x type.
// Pages of tensors that lie in a file of `source` are released as soon as they are written.
Status write_safetensors(const std::filesystem::path& path, std::span<const TensorInfo> tensors,
                         const std::map<std::string, std::string>& metadata, const TensorStore* source = nullptr);

// The same for data that never is in memory as a whole: names, types and shapes first, then the bytes. Move-only.
class SafetensorsStream {
 public:
  // Looks at names, types and shapes of `layout` alone, whose data may be empty.
  static Result<SafetensorsStream> create(const std::filesystem::path& path, std::span<const TensorInfo> layout,
                                          const std::map<std::string, std::string>& metadata);

  // The next bytes of the data section, in pieces of any size.
  Status append(std::span<const std::byte> bytes);
  // Refuses a file that has too few bytes or too many. Without commit() nothing appears.
  Status commit();

 private:
  SafetensorsStream(AtomicFile file, std::string label, int64_t missing_bytes)
      : file_(std::move(file)), label_(std::move(label)), missing_bytes_(missing_bytes) {}

  AtomicFile file_;
  std::string label_;
  int64_t missing_bytes_;  // of the data section
};

}  // namespace esparse

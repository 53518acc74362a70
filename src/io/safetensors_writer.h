// Writes one safetensors file: header padded with spaces to 8 bytes, tensors in the given order, no holes.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "base/status.h"
#include "io/tensor.h"

namespace esparse {

// Writes to a temporary name beside `path`, flushes to the disk and renames; on failure (a full disk, say) nothing is
// left behind and the error names the path. Refuses duplicate names and data whose size differs from shape x type.
Status write_safetensors(const std::filesystem::path& path, std::span<const TensorInfo> tensors,
                         const std::map<std::string, std::string>& metadata);

}  // namespace esparse

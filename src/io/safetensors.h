// Reads one safetensors file (https://github.com/huggingface/safetensors), as strictly as its specification asks:
// header of at most 100,000,000 bytes that starts with '{', no duplicate keys, known types, checked shape products,
// byte ranges that cover the data section without hole or overlap and end where the file ends.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "base/mmap.h"
#include "base/status.h"
#include "io/tensor.h"

namespace esparse {

inline constexpr int64_t kSafetensorsHeaderCapBytes = 100'000'000;

struct SafetensorsHeader {
  std::map<std::string, TensorInfo> tensors;    // by name; data points into the parsed bytes
  std::map<std::string, std::string> metadata;  // the "__metadata__" entry
};

// Parses a whole file held in memory; `label` (the path) begins every error message. The result borrows `bytes`.
Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> bytes, const std::string& label);

}  // namespace esparse

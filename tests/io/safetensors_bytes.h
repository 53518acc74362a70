// Safetensors files by hand, right and wrong ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace esparse {

// An exact-size copy, so that the address sanitizer sees one byte too far.
inline std::vector<std::byte> to_bytes(const std::string& text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

inline std::string length_prefix(uint64_t length) {
  std::string prefix(8, '\0');
  std::memcpy(prefix.data(), &length, prefix.size());
  return prefix;
}

inline std::string safetensors_text(const std::string& header, const std::string& data) {
  return length_prefix(header.size()) + header + data;
}

// Two tensors, "b" before "a" in the data, and metadata; 20 data bytes.
inline std::string small_safetensors() {
  return safetensors_text(R"({"__metadata__":{"format":"pt"},)"
                          R"("a":{"dtype":"F32","shape":[2,2],"data_offsets":[4,20]},)"
                          R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}  )",
                          "0123456789abcdefghij");
}

}  // namespace esparse

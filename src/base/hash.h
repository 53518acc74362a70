// FNV-1a, 64 bits: tells whether two inputs are the same, not whether someone wants them to look so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace esparse {

class Fingerprint {
 public:
  void add(std::span<const std::byte> bytes) {
    for (std::byte byte : bytes) value_ = (value_ ^ static_cast<uint64_t>(byte)) * 0x100000001b3u;
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace esparse

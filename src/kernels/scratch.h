// Working memory that a thread keeps from call to call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace esparse {

// Bytes on a cache line; growing loses what they held.
class Scratch {
 public:
  std::byte* grow(int64_t bytes) {
    if (bytes > bytes_) {
      storage_ = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(bytes) + kLine);
      bytes_ = bytes;
    }
    const auto address = reinterpret_cast<uintptr_t>(storage_.get());
    return storage_.get() + (kLine - address % kLine) % kLine;
  }

 private:
  static constexpr size_t kLine = 64;
  std::unique_ptr<std::byte[]> storage_;
  int64_t bytes_ = 0;
};

}  // namespace esparse

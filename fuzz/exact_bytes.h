// Bytes that end where their allocation ends, so that the address sanitizer sees any read beyond, and that start at an
// odd address, because nothing promises alignment.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace esparse::fuzz {

class ExactBytes {
 public:
  explicit ExactBytes(size_t size) : storage_(new std::byte[size + 1]), size_(size) {}
  explicit ExactBytes(std::span<const std::byte> source) : ExactBytes(source.size()) {
    if (size_ > 0) std::memcpy(data(), source.data(), size_);
  }
  std::byte* data() { return storage_.get() + 1; }
  const std::byte* data() const { return storage_.get() + 1; }
  std::span<const std::byte> bytes() const { return {data(), size_}; }

 private:
  std::unique_ptr<std::byte[]> storage_;
  size_t size_;
};

}  // namespace esparse::fuzz

// Memory for something large that is read from end to end again and again: whole pages, huge ones where the system
// gives them on request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace esparse {

// Zeros at first; untouched pages take no memory. Begins at a page. Move-only; empty when moved from.
class LargeBytes {
 public:
  LargeBytes() = default;
  // Aborts where the address space is exhausted; a machine out of memory fails later, when pages are touched.
  explicit LargeBytes(int64_t bytes);
  ~LargeBytes();
  LargeBytes(LargeBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  LargeBytes& operator=(LargeBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  int64_t size() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace esparse

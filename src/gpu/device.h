// A GPU in use: its memory, one stream, and what its errors say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kernels/cuda/backend.h"

namespace esparse {

// Memory on the device; freed with the object. Move-only; must not outlive its Device.
class DeviceBytes {
 public:
  DeviceBytes() = default;
  DeviceBytes(const cuda::Runtime& runtime, std::byte* data, int64_t bytes)
      : runtime_(&runtime), data_(data), bytes_(bytes) {}
  DeviceBytes(DeviceBytes&& other) noexcept { *this = std::move(other); }
  DeviceBytes& operator=(DeviceBytes&& other) noexcept {
    std::swap(runtime_, other.runtime_), std::swap(data_, other.data_), std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceBytes() {
    if (data_ != nullptr) runtime_->release(data_);
  }

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  const cuda::Runtime* runtime_ = nullptr;
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

// One thread at a time. Work is asynchronous; errors of kernels may come with a later call, which then names the last
// kernel that was launched.
class Device {
 public:
  // Refusals name what is missing (no driver, too old a driver, no such GPU) and suggest --device cpu.
  static Result<std::unique_ptr<Device>> open(const cuda::Backend& backend, int ordinal = 0);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const cuda::DeviceInfo& info() const { return info_; }
  const cuda::Backend& backend() const { return backend_; }
  cuda::Stream stream() const { return stream_; }

  // `what` names the purpose in errors: "model weights". out_of_memory tells needed and free bytes. 0 bytes give an
  // empty object.
  Result<DeviceBytes> allocate(int64_t bytes, std::string_view what);
  Result<DeviceBytes> upload(std::span<const std::byte> bytes, std::string_view what);
  Status upload_to(std::byte* target, std::span<const std::byte> bytes);
  Status download(std::span<std::byte> target, const std::byte* source);  // waits
  Status copy(std::byte* target, const std::byte* source, int64_t bytes);
  Status synchronize();

  // Turns what a kernel's launch returned into a Status that names kernel and shape: "rms_norm [8, 4096]: ...".
  // `kernel` is a string literal.
  Status launched(cuda::LaunchCode code, std::string_view kernel, std::span<const int64_t> shape);
  Status launched(cuda::LaunchCode code, std::string_view kernel, std::initializer_list<int64_t> shape) {
    return launched(code, kernel, std::span(shape.begin(), shape.size()));
  }

 private:
  Device(const cuda::Backend& backend, cuda::DeviceInfo info, cuda::Stream stream)
      : backend_(backend), info_(std::move(info)), stream_(stream) {}
  Status explain(Status status) const;

  const cuda::Backend& backend_;
  cuda::DeviceInfo info_;
  cuda::Stream stream_;
  std::string_view last_kernel_;
};

}  // namespace esparse

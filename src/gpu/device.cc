#include "gpu/device.h"

#include <fmt/ranges.h>

#include "base/byte_size.h"

namespace esparse {

Result<std::unique_ptr<Device>> Device::open(const cuda::Backend& backend, int ordinal) {
  ESPARSE_ASSIGN_OR_RETURN(cuda::DeviceInfo info, backend.runtime->open(ordinal));
  ESPARSE_ASSIGN_OR_RETURN(const cuda::Stream stream, backend.runtime->make_stream());
  return std::unique_ptr<Device>(new Device(backend, std::move(info), stream));
}

Device::~Device() { backend_.runtime->destroy_stream(stream_); }

Result<DeviceBytes> Device::allocate(int64_t bytes, std::string_view what) {
  if (bytes == 0) return DeviceBytes();
  Result<std::byte*> memory = backend_.runtime->allocate(bytes);
  if (memory.ok()) return DeviceBytes(*backend_.runtime, *memory, bytes);
  if (memory.status().kind() != StatusKind::out_of_memory) return explain(memory.status());
  const Result<int64_t> free = backend_.runtime->free_bytes();
  return Status(StatusKind::out_of_memory,
                fmt::format("{}: {} needed on {}, {} free; use a smaller context, a sparser model or --device cpu",
                            what, format_bytes(bytes), info_.name, format_bytes(free.ok() ? *free : 0)));
}

Result<DeviceBytes> Device::upload(std::span<const std::byte> bytes, std::string_view what) {
  ESPARSE_ASSIGN_OR_RETURN(DeviceBytes memory, allocate(static_cast<int64_t>(bytes.size()), what));
  ESPARSE_RETURN_IF_ERROR(upload_to(memory.data(), bytes));
  return memory;
}

Status Device::upload_to(std::byte* target, std::span<const std::byte> bytes) {
  return explain(backend_.runtime->copy_to_device(target, bytes.data(), static_cast<int64_t>(bytes.size()), stream_));
}

Status Device::download(std::span<std::byte> target, const std::byte* source) {
  return explain(backend_.runtime->copy_to_host(target.data(), source, static_cast<int64_t>(target.size()), stream_));
}

Status Device::copy(std::byte* target, const std::byte* source, int64_t bytes) {
  return explain(backend_.runtime->copy_on_device(target, source, bytes, stream_));
}

Status Device::synchronize() { return explain(backend_.runtime->synchronize(stream_)); }

Status Device::launched(cuda::LaunchCode code, std::string_view kernel, std::span<const int64_t> shape) {
  last_kernel_ = kernel;
  if (code == 0) return {};
  return internal_error("GPU kernel {} [{}] on {}: {}; --device cpu does without it", kernel, fmt::join(shape, ", "),
                        info_.name, backend_.runtime->error_text(code));
}

Status Device::explain(Status status) const {
  if (status.ok() || last_kernel_.empty()) return status;
  return status.with_context(fmt::format("{}, after GPU kernel {}", info_.name, last_kernel_));
}

}  // namespace esparse

#include "kernels/cuda/emulated/backend_emulated.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/cuda/emulated/gemm_emulated.h"
#include "kernels/cuda/emulated/sparse_library_emulated.h"
#include "kernels/cuda/families.h"

namespace esparse::cuda {
namespace {

// Device memory is host memory of its own, one allocation each, so that the address sanitizer sees its ends.
class EmulatedRuntime final : public Runtime {
  using Clock = std::chrono::steady_clock;

 public:
  Result<DeviceInfo> open(int ordinal) const override {
    if (ordinal != 0) return invalid_argument("--device: the emulated GPU is number 0, got {}", ordinal);
    return DeviceInfo{"emulated GPU", 9, 0, 2, int64_t{1} << 34, int64_t{1} << 20, 227 * 1024, 0};
  }
  Result<int64_t> free_bytes() const override { return int64_t{1} << 34; }
  Result<std::byte*> allocate(int64_t bytes) const override {
    if (bytes > int64_t{1} << 34) return Status(StatusKind::out_of_memory, "emulated allocation: out of memory");
    auto* memory = static_cast<std::byte*>(::operator new (static_cast<size_t>(bytes), std::align_val_t{256}));
    std::memset(memory, 0xff, static_cast<size_t>(bytes));  // NaN, so that what nobody wrote is noticed
    return memory;
  }
  void release(std::byte* memory) const override { ::operator delete (memory, std::align_val_t{256}); }
  Result<Stream> make_stream() const override { return Stream{nullptr}; }
  void destroy_stream(Stream) const override {}
  Status copy_to_device(std::byte* target, const std::byte* source, int64_t bytes, Stream) const override {
    return copy(target, source, bytes);
  }
  Status copy_to_host(std::byte* target, const std::byte* source, int64_t bytes, Stream) const override {
    return copy(target, source, bytes);
  }
  Status copy_on_device(std::byte* target, const std::byte* source, int64_t bytes, Stream) const override {
    return copy(target, source, bytes);
  }
  Status fill_bytes(std::byte* target, int value, int64_t bytes, Stream) const override {
    if (bytes > 0) std::memset(target, value, static_cast<size_t>(bytes));
    return {};
  }
  Status synchronize(Stream) const override { return {}; }
  std::string error_text(LaunchCode code) const override { return fmt::format("emulated error {}", code); }
  Result<Event> make_event() const override { return static_cast<Event>(new Clock::time_point); }
  void destroy_event(Event event) const override { delete static_cast<Clock::time_point*>(event); }
  Status record(Event event, Stream) const override {
    *static_cast<Clock::time_point*>(event) = Clock::now();
    return {};
  }
  Result<double> seconds_between(Event first, Event second) const override {
    const auto time = *static_cast<Clock::time_point*>(second) - *static_cast<Clock::time_point*>(first);
    return std::chrono::duration<double>(time).count();
  }
  Status begin_capture(Stream) const override { return unsupported("the emulated GPU has no graphs"); }
  Result<Graph> end_capture(Stream) const override { return unsupported("the emulated GPU has no graphs"); }
  Status launch_graph(Graph, Stream) const override { return unsupported("the emulated GPU has no graphs"); }
  void destroy_graph(Graph) const override {}

 private:
  static Status copy(std::byte* target, const std::byte* source, int64_t bytes) {
    if (bytes > 0) std::memcpy(target, source, static_cast<size_t>(bytes));
    return {};
  }
};

}  // namespace

const Backend& emulated_backend() {
  static const EmulatedRuntime runtime;
  static const Backend backend{emulated::kernel_families(), "emulated", &runtime, &emulated_gemm(),
                               &emulated_sparse_library()};
  return backend;
}

}  // namespace esparse::cuda

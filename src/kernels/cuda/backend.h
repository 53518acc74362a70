// What a GPU offers to the code above kernels/: memory, streams, graphs and families of kernels. Two backends exist:
// `device`, an NVIDIA GPU (compiled by nvcc), and `emulated`, which runs the same kernel sources on the CPU thread by
// thread, for tests. No CUDA type appears here, so that what uses it compiles everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/kernel_families.h"
#include "kernels/cuda/launch_types.h"
#include "kernels/cuda/sparse_library.h"

namespace esparse::cuda {

struct DeviceInfo {
  std::string name;  // "NVIDIA H200"
  int compute_major = 0, compute_minor = 0;
  int multiprocessors = 0;
  int64_t total_bytes = 0;
  int64_t l2_bytes = 0;
  int64_t shared_bytes_per_block = 0;  // the most that a launch may ask for
  int driver_version = 0;              // 13000 for 13.0, as CUDA counts; 0 where there is no driver (emulated)
};

// Memory, order and time on one device. One thread at a time; errors name the CUDA call and what it said.
class Runtime {
 public:
  virtual ~Runtime() = default;
  // Makes `ordinal` the device of this thread. Refuses by name: no driver, a driver too old for this build, no device.
  virtual Result<DeviceInfo> open(int ordinal) const = 0;
  virtual Result<int64_t> free_bytes() const = 0;
  // At least 256-byte aligned. Kind out_of_memory where the device has no room.
  virtual Result<std::byte*> allocate(int64_t bytes) const = 0;
  virtual void release(std::byte* memory) const = 0;
  virtual Result<Stream> make_stream() const = 0;
  virtual void destroy_stream(Stream stream) const = 0;
  // In the order of the stream; the host memory may be reused after the call returns.
  virtual Status copy_to_device(std::byte* target, const std::byte* source, int64_t bytes, Stream stream) const = 0;
  // Waits for the stream.
  virtual Status copy_to_host(std::byte* target, const std::byte* source, int64_t bytes, Stream stream) const = 0;
  virtual Status copy_on_device(std::byte* target, const std::byte* source, int64_t bytes, Stream stream) const = 0;
  virtual Status fill_bytes(std::byte* target, int value, int64_t bytes, Stream stream) const = 0;
  // Waits; reports what went wrong in kernels launched before.
  virtual Status synchronize(Stream stream) const = 0;
  virtual std::string error_text(LaunchCode code) const = 0;

  virtual Result<Event> make_event() const = 0;
  virtual void destroy_event(Event event) const = 0;
  virtual Status record(Event event, Stream stream) const = 0;
  // Waits for both.
  virtual Result<double> seconds_between(Event first, Event second) const = 0;

  // Between the two calls work given to `stream` is recorded, not done. The emulated backend has no graphs
  // (unsupported): callers launch one by one there.
  virtual Status begin_capture(Stream stream) const = 0;
  virtual Result<Graph> end_capture(Stream stream) const = 0;
  virtual Status launch_graph(Graph graph, Stream stream) const = 0;
  virtual void destroy_graph(Graph graph) const = 0;
};

struct Backend : KernelFamilies {
  std::string_view name;  // "cuda", "emulated"
  const Runtime* runtime = nullptr;
  const GemmLibrary* gemm = nullptr;
  const SparseLibrary* sparse_library = nullptr;
};

// The backend of this build. unsupported, with how to get it, where esparse was built without CUDA.
Result<const Backend*> device_backend();

}  // namespace esparse::cuda

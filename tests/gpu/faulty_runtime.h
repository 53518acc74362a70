// A backend whose runtime fails when it is told to, as a GPU would, and whose clock says what it is told.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/test_backend.h"

namespace esparse::cuda {

// Passes everything on to test_backend(), but for what is set.
class FaultyRuntime final : public Runtime {
 public:
  std::optional<Status> at_synchronize, at_copy_to_host, at_open;
  std::optional<int64_t> free;       // allocations beyond it fail
  std::vector<double> measurements;  // what events say, one after another, again and again; empty: what is true

  FaultyRuntime() : backend_(test_backend()) { backend_.runtime = this; }
  const Backend& backend() const { return backend_; }

  Result<DeviceInfo> open(int ordinal) const override {
    if (at_open) return *at_open;
    return real().open(ordinal);
  }
  Result<int64_t> free_bytes() const override { return free ? Result<int64_t>(*free) : real().free_bytes(); }
  Result<std::byte*> allocate(int64_t bytes) const override {
    if (free && bytes > *free) return Status(StatusKind::out_of_memory, "cudaMalloc(&memory, bytes): out of memory");
    return real().allocate(bytes);
  }
  void release(std::byte* memory) const override { real().release(memory); }
  Result<Stream> make_stream() const override { return real().make_stream(); }
  void destroy_stream(Stream stream) const override { real().destroy_stream(stream); }
  Status copy_to_device(std::byte* target, const std::byte* source, int64_t bytes, Stream stream) const override {
    return real().copy_to_device(target, source, bytes, stream);
  }
  Status copy_to_host(std::byte* target, const std::byte* source, int64_t bytes, Stream stream) const override {
    if (at_copy_to_host) return *at_copy_to_host;
    return real().copy_to_host(target, source, bytes, stream);
  }
  Status copy_on_device(std::byte* target, const std::byte* source, int64_t bytes, Stream stream) const override {
    return real().copy_on_device(target, source, bytes, stream);
  }
  Status fill_bytes(std::byte* target, int value, int64_t bytes, Stream stream) const override {
    return real().fill_bytes(target, value, bytes, stream);
  }
  Status synchronize(Stream stream) const override {
    if (at_synchronize) return *at_synchronize;
    return real().synchronize(stream);
  }
  std::string error_text(LaunchCode code) const override { return real().error_text(code); }
  Result<Event> make_event() const override { return real().make_event(); }
  void destroy_event(Event event) const override { real().destroy_event(event); }
  Status record(Event event, Stream stream) const override { return real().record(event, stream); }
  Result<double> seconds_between(Event first, Event second) const override {
    if (!measurements.empty()) return measurements[next_measurement_++ % measurements.size()];
    return real().seconds_between(first, second);
  }
  Status begin_capture(Stream stream) const override { return real().begin_capture(stream); }
  Result<Graph> end_capture(Stream stream) const override { return real().end_capture(stream); }
  Status launch_graph(Graph graph, Stream stream) const override { return real().launch_graph(graph, stream); }
  void destroy_graph(Graph graph) const override { real().destroy_graph(graph); }

 private:
  static const Runtime& real() { return *test_backend().runtime; }

  Backend backend_;
  mutable size_t next_measurement_ = 0;
};

}  // namespace esparse::cuda

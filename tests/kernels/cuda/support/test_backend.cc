#include "kernels/cuda/test_backend.h"

#include <cstdio>
#include <cstdlib>

namespace esparse::cuda {
namespace {

// What a test cannot go on without.
void require(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

}  // namespace

Stream test_stream() {
  static const Stream stream = [] {
    const auto made = test_backend().runtime->make_stream();
    require(made.status());
    return made.ok() ? *made : Stream{};
  }();
  return stream;
}

testing::AssertionResult launched(LaunchCode code) {
  if (code != 0) return testing::AssertionFailure() << test_backend().runtime->error_text(code);
  const Status status = test_backend().runtime->synchronize(test_stream());
  return status.ok() ? testing::AssertionSuccess() : testing::AssertionFailure() << status.message();
}

namespace test_memory {

std::byte* allocate(size_t bytes) {
  const auto memory = test_backend().runtime->allocate(static_cast<int64_t>(bytes == 0 ? 1 : bytes));
  require(memory.status());
  require(test_backend().runtime->fill_bytes(*memory, 0xff, static_cast<int64_t>(bytes), test_stream()));
  return *memory;
}

void release(std::byte* memory) {
  if (memory != nullptr) test_backend().runtime->release(memory);
}

void upload(std::byte* target, const void* source, size_t bytes) {
  require(test_backend().runtime->copy_to_device(target, static_cast<const std::byte*>(source),
                                                 static_cast<int64_t>(bytes), test_stream()));
}

void download(void* target, const std::byte* source, size_t bytes) {
  require(test_backend().runtime->copy_to_host(static_cast<std::byte*>(target), source, static_cast<int64_t>(bytes),
                                               test_stream()));
}

}  // namespace test_memory
}  // namespace esparse::cuda

// The GPU that tests run kernels on, and memory on it. The same test sources are linked twice: cuda_test and gpu_test
// take the emulator (everywhere, under the address sanitizer too), cuda_device_test and gpu_device_test the GPU of the
// machine (built where nvcc is; they exit with 77, which ctest shows as skipped, where there is no GPU).
//
// So a test hands no memory of the host to a kernel. It writes:
//   const TestArray<float> x(values);                        // a copy of a vector there
//   TestArray<bf16> y(tokens * width);                       // room there, filled with NaN
//   ASSERT_TRUE(launched(test_backend().elementwise->rms_norm({x.data(), y.data(), ...}, test_stream())));
//   const std::vector<bf16> result = y.values();             // a copy here; waits
// Code of src/gpu takes a Device: Device::open(test_backend()).
//
// Tests of the emulator itself stand in files named emulated_*_test.cc, which are linked with the emulator alone.
#pragma once

#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/backend.h"

namespace esparse::cuda {

const Backend& test_backend();
Stream test_stream();
// Whether test_backend() is a real GPU: sweeps may then be larger, and graphs exist.
bool on_device();

// Whether a launch went well; waits for the kernel, so that what it did wrong is reported here.
testing::AssertionResult launched(LaunchCode code);

// `count` elements on the device. An error there ends the test program with a message.
template <typename T>
class TestArray {
 public:
  // Every byte 0xff: NaN in all float types, so that what no kernel wrote is noticed.
  explicit TestArray(size_t count);
  explicit TestArray(const std::vector<T>& values) : TestArray(values.size()) { set(values); }
  TestArray(TestArray&& other) noexcept : memory_(other.memory_), count_(other.count_) { other.memory_ = nullptr; }
  TestArray& operator=(TestArray&&) = delete;
  ~TestArray();

  T* data() const { return reinterpret_cast<T*>(memory_); }
  size_t size() const { return count_; }
  void set(const std::vector<T>& values);
  std::vector<T> values() const;

 private:
  std::byte* memory_ = nullptr;
  size_t count_ = 0;
};

namespace test_memory {
std::byte* allocate(size_t bytes);
void release(std::byte* memory);
void upload(std::byte* target, const void* source, size_t bytes);
void download(void* target, const std::byte* source, size_t bytes);
}  // namespace test_memory

template <typename T>
TestArray<T>::TestArray(size_t count) : memory_(test_memory::allocate(count * sizeof(T))), count_(count) {}
template <typename T>
TestArray<T>::~TestArray() {
  test_memory::release(memory_);
}
template <typename T>
void TestArray<T>::set(const std::vector<T>& values) {
  ASSERT_EQ(values.size(), count_);
  test_memory::upload(memory_, values.data(), count_ * sizeof(T));
}
template <typename T>
std::vector<T> TestArray<T>::values() const {
  std::vector<T> result(count_);
  test_memory::download(result.data(), memory_, count_ * sizeof(T));
  return result;
}

}  // namespace esparse::cuda

// Paths of forms and GPUs, and what a GPU without mma.sp does.
#include "gpu/device_plan.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/device_linear.h"
#include "kernels/cuda/test_backend.h"

namespace esparse {
namespace {

using cuda::DeviceInfo;
using Paths = std::vector<DevicePath>;

DeviceInfo gpu(int major, int minor) {
  DeviceInfo info;
  info.name = "GPU", info.compute_major = major, info.compute_minor = minor, info.multiprocessors = 4;
  return info;
}

TEST(DevicePlan, PathsFollowFormAndTokens) {
  const DeviceInfo hopper = gpu(9, 0);
  EXPECT_EQ(possible_paths(DeviceForm::dense, hopper, 64), (Paths{DevicePath::few, DevicePath::library}));
  EXPECT_EQ(possible_paths(DeviceForm::dense, hopper, 65), (Paths{DevicePath::library}));
  EXPECT_EQ(possible_paths(DeviceForm::tiles, hopper, 1),
            (Paths{DevicePath::few, DevicePath::sparse_gemm, DevicePath::expand}));
  EXPECT_EQ(possible_paths(DeviceForm::spense_tiles, hopper, 4096, true),
            (Paths{DevicePath::sparse_library, DevicePath::sparse_gemm, DevicePath::expand}));
  EXPECT_EQ(possible_paths(DeviceForm::bits, hopper, 16), (Paths{DevicePath::bits, DevicePath::expand}));
  EXPECT_EQ(possible_paths(DeviceForm::spense_bits, hopper, 17), (Paths{DevicePath::expand}));
}

TEST(DevicePlan, DefaultsReadAWeightOnceForFewTokens) {
  const DevicePlan tiles = default_plan(DeviceForm::tiles, gpu(8, 0));
  for (const int64_t tokens : {1, 4, 8, 16, 64}) EXPECT_EQ(tiles.path(tokens), DevicePath::few);
  EXPECT_EQ(tiles.path(65), DevicePath::sparse_gemm);
  const DevicePlan bits = default_plan(DeviceForm::bits, gpu(8, 0));
  EXPECT_EQ(bits.path(8), DevicePath::bits);
  EXPECT_EQ(bits.path(9), DevicePath::expand);
  EXPECT_EQ(default_plan(DeviceForm::dense, gpu(8, 0)).path(1), DevicePath::library);
}

TEST(DevicePlan, OlderGpusExpand) {
  const DeviceInfo turing = gpu(7, 5);
  EXPECT_EQ(possible_paths(DeviceForm::tiles, turing, 1, true), (Paths{DevicePath::expand}));
  EXPECT_EQ(possible_paths(DeviceForm::bits, turing, 1), (Paths{DevicePath::bits, DevicePath::expand}));
  EXPECT_EQ(default_plan(DeviceForm::spense_tiles, turing).path(1), DevicePath::expand);
}

// The GPU of the tests, under another compute capability.
class OlderRuntime final : public cuda::Runtime {
 public:
  Result<DeviceInfo> open(int ordinal) const override {
    ESPARSE_ASSIGN_OR_RETURN(DeviceInfo info, real_.open(ordinal));
    info.name = "GPU of 2018", info.compute_major = 7, info.compute_minor = 5;
    return info;
  }
  Result<int64_t> free_bytes() const override { return real_.free_bytes(); }
  Result<std::byte*> allocate(int64_t bytes) const override { return real_.allocate(bytes); }
  void release(std::byte* memory) const override { real_.release(memory); }
  Result<cuda::Stream> make_stream() const override { return real_.make_stream(); }
  void destroy_stream(cuda::Stream stream) const override { real_.destroy_stream(stream); }
  Status copy_to_device(std::byte* to, const std::byte* from, int64_t bytes, cuda::Stream stream) const override {
    return real_.copy_to_device(to, from, bytes, stream);
  }
  Status copy_to_host(std::byte* to, const std::byte* from, int64_t bytes, cuda::Stream stream) const override {
    return real_.copy_to_host(to, from, bytes, stream);
  }
  Status copy_on_device(std::byte* to, const std::byte* from, int64_t bytes, cuda::Stream stream) const override {
    return real_.copy_on_device(to, from, bytes, stream);
  }
  Status fill_bytes(std::byte* to, int value, int64_t bytes, cuda::Stream stream) const override {
    return real_.fill_bytes(to, value, bytes, stream);
  }
  Status synchronize(cuda::Stream stream) const override { return real_.synchronize(stream); }
  std::string error_text(cuda::LaunchCode code) const override { return real_.error_text(code); }
  Result<cuda::Event> make_event() const override { return real_.make_event(); }
  void destroy_event(cuda::Event event) const override { real_.destroy_event(event); }
  Status record(cuda::Event event, cuda::Stream stream) const override { return real_.record(event, stream); }
  Result<double> seconds_between(cuda::Event first, cuda::Event second) const override {
    return real_.seconds_between(first, second);
  }
  Status begin_capture(cuda::Stream stream) const override { return real_.begin_capture(stream); }
  Result<cuda::Graph> end_capture(cuda::Stream stream) const override { return real_.end_capture(stream); }
  Status launch_graph(cuda::Graph graph, cuda::Stream stream) const override {
    return real_.launch_graph(graph, stream);
  }
  void destroy_graph(cuda::Graph graph) const override { real_.destroy_graph(graph); }

 private:
  const cuda::Runtime& real_ = *cuda::test_backend().runtime;
};

TEST(DevicePlan, AnOlderGpuIsNamedAndStillMultiplies) {
  const OlderRuntime runtime;
  cuda::Backend backend = cuda::test_backend();
  backend.runtime = &runtime;
  auto device = Device::open(backend);
  ASSERT_TRUE(device.ok());
  // Row r keeps columns 0 and 3 of its only group: r + 1 and 2.
  std::vector<bf16> w(16 * 4);
  for (int row = 0; row < 16; ++row) w[row * 4] = to_bf16(static_cast<float>(row + 1)), w[row * 4 + 3] = to_bf16(2);
  const auto packed = pack_nm({2, 4}, DType::bf16, std::as_bytes(std::span(w)), 16, 4);
  auto weight = upload_weight(**device, packed->view(), cuda::Element::bf16);
  ASSERT_TRUE(weight.ok()) << weight.status().message();
  const std::vector<bf16> x = {to_bf16(1), to_bf16(5), to_bf16(7), to_bf16(3)};
  const auto x_device = (*device)->upload(std::as_bytes(std::span(x)), "x");
  const auto y_device = (*device)->allocate(16 * 4, "y");
  const auto scratch = make_linear_scratch(**device, linear_scratch_bytes(*weight, 1));
  const LinearOutput y{y_device->data(), cuda::Element::f32, false, 16};
  ASSERT_TRUE(device_linear(**device, *weight, x_device->data(), 1, nullptr, y, *scratch).ok());
  std::vector<float> result(16);
  ASSERT_TRUE((*device)->download(std::as_writable_bytes(std::span(result)), y_device->data()).ok());
  for (int row = 0; row < 16; ++row) EXPECT_EQ(result[row], row + 1 + 6);
  weight->plan.paths.fill(DevicePath::few);
  const Status refused = device_linear(**device, *weight, x_device->data(), 1, nullptr, y, *scratch);
  EXPECT_EQ(refused.kind(), StatusKind::unsupported);
  EXPECT_EQ(refused.message(),
            "path few on GPU of 2018: needs compute capability 8.0 or newer for mma.sp, got 7.5; expand does without");
}

}  // namespace
}  // namespace esparse

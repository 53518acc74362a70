// What is said when a GPU fails.
#include <array>

#include <gtest/gtest.h>

#include "gpu/device.h"
#include "gpu/faulty_runtime.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

const Status kIllegalAccess =
    internal_error("cudaStreamSynchronize: an illegal memory access was encountered (cudaErrorIllegalAddress)");

TEST(DeviceFaults, AnUnusableDriverIsTheFirstThingSaid) {
  cuda::FaultyRuntime runtime;
  runtime.at_open = unsupported("--device cuda: this machine has no NVIDIA driver");
  EXPECT_FAILURE(Device::open(runtime.backend()), StatusKind::unsupported, "no NVIDIA driver");
}

TEST(DeviceFaults, OutOfMemoryTellsPurposeNeededAndFreeBytes) {
  cuda::FaultyRuntime runtime;
  const auto device = Device::open(runtime.backend());
  ASSERT_OK(device);
  runtime.free = 3 << 20;
  const auto weights = (*device)->allocate(int64_t{15} << 30, "model weights");
  EXPECT_FAILURE(weights, StatusKind::out_of_memory, "model weights: 15.0 GiB needed on ");
  EXPECT_FAILURE(weights, StatusKind::out_of_memory, "3.00 MiB free");
  EXPECT_FAILURE(weights, StatusKind::out_of_memory, "--device cpu");
  const std::array<std::byte, 16> bytes{};
  EXPECT_OK((*device)->upload(bytes, "a little"));
}

// Errors of kernels come with a later call, which names the kernel that was launched last.
TEST(DeviceFaults, AKernelThatWentWrongIsNamedByWhatNoticesIt) {
  cuda::FaultyRuntime runtime;
  const auto device = Device::open(runtime.backend());
  ASSERT_OK(device);
  ASSERT_OK((*device)->launched(0, "rms_norm", {8, 4096}));
  runtime.at_synchronize = runtime.at_copy_to_host = kIllegalAccess;
  EXPECT_FAILURE((*device)->synchronize(), StatusKind::internal, "after GPU kernel rms_norm: cudaStreamSynchronize");
  std::array<std::byte, 16> bytes{};
  EXPECT_FAILURE((*device)->download(bytes, nullptr), StatusKind::internal, "illegal memory access");
  EXPECT_FAILURE((*device)->download(bytes, nullptr), StatusKind::internal, (*device)->info().name);
}

TEST(DeviceFaults, ALaunchThatIsRefusedNamesKernelShapeAndGpu) {
  cuda::FaultyRuntime runtime;
  const auto device = Device::open(runtime.backend());
  ASSERT_OK(device);
  const Status status = (*device)->launched(98, "few_linear", {16, 4096, 14336});
  EXPECT_FAILURE(status, StatusKind::internal, "GPU kernel few_linear [16, 4096, 14336] on " + (*device)->info().name);
  EXPECT_FAILURE(status, StatusKind::internal, "--device cpu does without it");
}

}  // namespace
}  // namespace esparse

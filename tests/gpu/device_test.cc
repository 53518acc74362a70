#include "gpu/device.h"

#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/test_backend.h"

namespace esparse {
namespace {

using cuda::test_backend;

TEST(Device, BytesGoThereAndBack) {
  auto device = Device::open(test_backend());
  ASSERT_TRUE(device.ok());
  std::vector<std::byte> source(1000), target(1000);
  for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(i);
  auto memory = (*device)->upload(source, "test");
  ASSERT_TRUE(memory.ok());
  DeviceBytes moved = std::move(*memory);
  EXPECT_EQ(moved.bytes(), 1000);
  ASSERT_TRUE((*device)->download(target, moved.data()).ok());
  EXPECT_EQ(source, target);
}

TEST(Device, RefusalsSayWhatIsNeeded) {
  EXPECT_EQ(Device::open(test_backend(), 1000).status().kind(), StatusKind::invalid_argument);
  auto device = Device::open(test_backend());
  const auto memory = (*device)->allocate(int64_t{1} << 40, "model weights");
  EXPECT_EQ(memory.status().kind(), StatusKind::out_of_memory);
  EXPECT_NE(memory.status().message().find("model weights: 1.00 TiB needed"), std::string::npos)
      << memory.status().message();
  const Status status = (*device)->launched(700, "rms_norm", {8, 4096});
  EXPECT_NE(status.message().find("rms_norm [8, 4096]"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace esparse

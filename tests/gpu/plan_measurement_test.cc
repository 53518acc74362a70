// Which path a measurement chooses, with a clock that says what the test wants.
#include "gpu/plan_measurement.h"

#include <vector>

#include <gtest/gtest.h>

#include "gpu/faulty_runtime.h"

namespace esparse {
namespace {

// 2:4: the first two of each four are kept.
DeviceWeight sparse_weight(Device& device, int64_t out, int64_t in) {
  std::vector<bf16> values(static_cast<size_t>(out * in));
  for (size_t i = 0; i < values.size(); ++i)
    if (i % 4 < 2) values[i] = to_bf16(static_cast<float>(i % 7) - 3.5f);
  const auto packed = pack_nm({2, 4}, DType::bf16, std::as_bytes(std::span(values)), out, in);
  auto weight = upload_weight(device, packed->view(), cuda::Element::bf16);
  EXPECT_TRUE(weight.ok()) << weight.status().message();
  return std::move(weight).value();
}

// One token, so that one bucket is measured: few, sparse-gemm, expand, then dense, in turn.
std::vector<DevicePlanRow> measured(const std::vector<double>& seconds, DeviceWeight* into = nullptr) {
  cuda::FaultyRuntime runtime;
  auto device = Device::open(runtime.backend());
  EXPECT_TRUE(device.ok());
  DeviceWeight first = sparse_weight(**device, 32, 64), second = sparse_weight(**device, 32, 64),
               other = sparse_weight(**device, 16, 64);
  DeviceWeight* const weights[] = {&first, &other, &second};
  runtime.measurements = seconds;
  const auto rows = measure_device_plans(**device, weights, {.max_tokens = 1, .rounds = 3});
  EXPECT_TRUE(rows.ok()) << rows.status().message();
  EXPECT_EQ(first.plan, second.plan);
  if (into != nullptr) into->plan = second.plan;
  return *rows;
}

TEST(PlanMeasurement, TakesWhatIsFastestAndSaysHowFast) {
  DeviceWeight weight;
  const auto rows = measured({3e-6, 2e-6, 1e-6, 4e-6}, &weight);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].weights, 2);
  EXPECT_EQ(rows[0].out_features, 32);
  EXPECT_EQ(rows[0].plan.paths[0], DevicePath::expand);
  EXPECT_EQ(weight.plan.paths[0], DevicePath::expand);
  EXPECT_NEAR(rows[0].speedup(0), 4, 1e-9);
  const auto& times = rows[0].choices[0].times;
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(times[1].path, DevicePath::sparse_gemm);
  EXPECT_EQ(times[1].seconds, 2e-6);
}

TEST(PlanMeasurement, KeepsTheDefaultWhereNothingIsClearlyFaster) {
  const auto rows = measured({1.02e-6, 1.01e-6, 1e-6, 0.5e-6});
  EXPECT_EQ(rows[0].plan.paths[0], DevicePath::few);
  EXPECT_LT(rows[0].speedup(0), 1);  // dense would win, and the row says so
}

TEST(PlanMeasurement, BucketsBeyondAPassKeepTheirDefault) {
  const auto rows = measured({3e-6, 2e-6, 1e-6, 4e-6});
  for (size_t bucket = 1; bucket < kTokenBuckets.size(); ++bucket) {
    EXPECT_TRUE(rows[0].choices[bucket].times.empty());
    EXPECT_EQ(rows[0].speedup(bucket), 0);
  }
  EXPECT_EQ(rows[0].plan.paths.back(), DevicePath::sparse_gemm);
}

TEST(PlanMeasurement, RefusesWhenThereIsNoRoom) {
  cuda::FaultyRuntime runtime;
  auto device = Device::open(runtime.backend());
  DeviceWeight weight = sparse_weight(**device, 32, 64);
  runtime.free = 64;
  DeviceWeight* const weights[] = {&weight};
  const auto rows = measure_device_plans(**device, weights, {.max_tokens = 1, .rounds = 1});
  EXPECT_EQ(rows.status().kind(), StatusKind::out_of_memory);
}

}  // namespace
}  // namespace esparse

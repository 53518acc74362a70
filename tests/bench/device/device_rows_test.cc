// The benchmark of linears on a GPU, on tiny shapes: that it runs every kind of contender, refuses wrong ones, and
// prints what it measured. No times: the emulator's mean nothing.
#include "bench/device_rows.h"

#include <gtest/gtest.h>

#include "bench/device_contender.h"
#include "bench/device_weights.h"
#include "kernels/cuda/test_backend.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

DeviceBenchOptions tiny(std::string_view patterns, std::vector<int64_t> tokens) {
  DeviceBenchOptions options;
  options.linear.shapes = {{"64x96", 64, 96, 1}, {"96x64", 96, 64, 2}};
  options.linear.patterns = *BenchPattern::parse_list(patterns);
  options.linear.tokens = std::move(tokens);
  options.linear.repetitions = 3;
  options.linear.budget_seconds = 0;
  options.cold_bytes = 2 * 64 * 96 * 2;
  options.turn_seconds = 0;
  options.sizes = {1 << 16, 32};
  return options;
}

TEST(DeviceBench, MeasuresEveryFormAgainstTheLibraries) {
  const auto device = Device::open(cuda::test_backend());
  ASSERT_OK(device);
  int64_t seen = 0;
  const auto report = bench_device(**device, tiny("2:4,spense:0.25,dense", {1, 9}), [&](const DeviceRow&) { ++seen; });
  ASSERT_OK(report);
  ASSERT_EQ(report->rows.size(), 12u);
  EXPECT_EQ(seen, 12);
  for (const DeviceRow& row : report->rows) {
    EXPECT_GT(row.dense_seconds, 0);
    EXPECT_GT(row.sparse_seconds, 0);
    EXPECT_EQ(row.repetitions, 3);
    EXPECT_EQ(row.dense_bytes, 64 * 96 * 2);
    EXPECT_EQ(row.activation_bytes, row.tokens * (64 + 96) * 2);
    EXPECT_EQ(row.library_seconds.has_value(), row.pattern == "2:4" && report->machine.has_sparse_library);
    EXPECT_NEAR(row.kept, row.pattern == "2:4" ? 0.5 : row.pattern == "dense" ? 1 : 0.625, 0.01);
  }
  const std::string text = device_report_text(*report);
  for (const char* part : {"64x96", "spense:0.25", "of copy", "bound"}) EXPECT_NE(text.find(part), text.npos) << part;
  const Json json = device_report_json(*report);
  EXPECT_EQ(json["rows"].size(), 12u);
  EXPECT_EQ(json["rows"][0]["pattern"], "2:4");
  EXPECT_EQ(json["machine"]["gpu"], (*device)->info().name);
}

TEST(DeviceBench, RefusesF32) {
  const auto device = Device::open(cuda::test_backend());
  auto options = tiny("2:4", {1});
  options.linear.dtype = DType::f32;
  EXPECT_FAILURE(bench_device(**device, options, [](const DeviceRow&) {}), StatusKind::invalid_argument, "--dtype");
}

// What a kernel that is wrong, writes nothing, or fails brings about.
TEST(DeviceContender, IsRefusedWhereItComputesSomethingElse) {
  const auto device = Device::open(cuda::test_backend());
  const Matrix<float> values = random_weight({"64x96", 64, 96, 1}, DType::bf16);
  const auto patterns = *BenchPattern::parse_list("dense,2:4");
  Product product(values, 3);
  auto operands = DeviceOperands::create(**device, product, cuda::Element::bf16);
  ASSERT_OK(operands);
  auto weights = DeviceColdWeights::create(**device, values, DType::bf16, patterns[0], 1 << 20);
  ASSERT_OK(weights);
  const auto right = weights->dense_library(*operands);
  ASSERT_OK(right);
  EXPECT_GT((*right)[0].copies, 60);
  EXPECT_OK(check_device_contender(**device, (*right)[0], patterns[0], *operands));
  EXPECT_FAILURE(check_device_contender(**device, (*right)[0], patterns[1], *operands), StatusKind::internal,
                 "wrong result");
  const DeviceContender idle{"idle", 1, false, 1, [](int64_t) { return Status(); }};
  EXPECT_FAILURE(check_device_contender(**device, idle, patterns[0], *operands), StatusKind::internal, "idle");
  const DeviceContender failing{"failing", 1, false, 1, [](int64_t) { return internal_error("no room"); }};
  EXPECT_FAILURE(check_device_contender(**device, failing, patterns[0], *operands), StatusKind::internal, "no room");
  EXPECT_FAILURE(DeviceRuns::create(**device, failing, 0), StatusKind::internal, "no room");
}

TEST(DeviceRuns, TakeTheCopiesInTurn) {
  const auto device = Device::open(cuda::test_backend());
  std::vector<int64_t> order;
  const DeviceContender contender{"counting", 1, false, 5, [&](int64_t copy) {
                                    order.push_back(copy);
                                    return Status();
                                  }};
  auto runs = DeviceRuns::create(**device, contender, 0);
  ASSERT_OK(runs);
  ASSERT_OK(runs->seconds_per_run());
  EXPECT_GE(order.size(), 15u);
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], static_cast<int64_t>(i % 5));
}

}  // namespace
}  // namespace esparse

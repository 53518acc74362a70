#include "base/status.h"

#include <memory>

#include <gtest/gtest.h>

#include "support/status_testing.h"

namespace esparse {
namespace {

TEST(Status, OkByDefault) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.kind(), StatusKind::ok);
  EXPECT_TRUE(status.message().empty());
}

TEST(Status, MakersSetKindAndFormatTheMessage) {
  EXPECT_FAILURE(invalid_argument("{} of {}", 1, 2), StatusKind::invalid_argument, "1 of 2");
  EXPECT_FAILURE(not_found("a"), StatusKind::not_found, "a");
  EXPECT_FAILURE(corruption("a"), StatusKind::corruption, "a");
  EXPECT_FAILURE(unsupported("a"), StatusKind::unsupported, "a");
  EXPECT_FAILURE(io_error("a"), StatusKind::io, "a");
  EXPECT_FAILURE(numeric_error("a"), StatusKind::numeric, "a");
  EXPECT_FAILURE(internal_error("a"), StatusKind::internal, "a");
  EXPECT_FAILURE(make_status(StatusKind::out_of_memory, "{}", "a"), StatusKind::out_of_memory, "a");
}

TEST(Status, KindsHaveNamesOfTheirOwn) {
  EXPECT_EQ(status_kind_name(StatusKind::ok), "ok");
  for (int a = 0; a <= static_cast<int>(StatusKind::internal); ++a) {
    EXPECT_NE(status_kind_name(static_cast<StatusKind>(a)), "unknown");
    for (int b = 0; b < a; ++b) {
      EXPECT_NE(status_kind_name(static_cast<StatusKind>(a)), status_kind_name(static_cast<StatusKind>(b)));
    }
  }
}

TEST(Status, WithContextGoesInFrontAndKeepsTheKind) {
  const Status status = io_error("disk full").with_context("out.bin").with_context("writing");
  EXPECT_EQ(status.message(), "writing: out.bin: disk full");
  EXPECT_EQ(status.kind(), StatusKind::io);
  EXPECT_TRUE(Status().with_context("writing").ok());
  EXPECT_TRUE(Status().with_context("writing").message().empty());
}

TEST(Result, HoldsValueOrStatus) {
  Result<int> good = 7;
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 7);
  EXPECT_TRUE(good.status().ok());
  const Result<int> bad = not_found("none");
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().message(), "none");
}

TEST(Result, OkStatusWithoutValueIsAnError) {
  const Result<int> broken = Status();
  EXPECT_FALSE(broken.ok());
  EXPECT_EQ(broken.status().kind(), StatusKind::internal);
}

Result<std::unique_ptr<int>> make_number(int value) {
  if (value < 0) return invalid_argument("negative: {}", value);
  return std::make_unique<int>(value);
}

Result<int> sum(int a, int b) {
  ESPARSE_ASSIGN_OR_RETURN(const auto first, make_number(a));
  ESPARSE_ASSIGN_OR_RETURN(const auto second, make_number(b));
  return *first + *second;
}

TEST(Result, AssignOrReturnMovesValuesAndPassesErrorsOn) {
  EXPECT_EQ(sum(2, 3).value(), 5);
  EXPECT_FAILURE(sum(2, -3), StatusKind::invalid_argument, "negative: -3");
  EXPECT_FAILURE(sum(-2, -3), StatusKind::invalid_argument, "negative: -2");
}

TEST(Status, ReturnIfErrorEvaluatesOnce) {
  int calls = 0;
  auto run = [&](Status status) -> Status {
    auto step = [&] {
      ++calls;
      return status;
    };
    ESPARSE_RETURN_IF_ERROR(step());
    return unsupported("went on");
  };
  EXPECT_EQ(run({}).message(), "went on");
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(run(io_error("stopped")).message(), "stopped");
  EXPECT_EQ(calls, 2);
}

TEST(CheckDeathTest, NamesTheConditionAndStops) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(ESPARSE_CHECK(1 + 1 == 3), "status_test.cc:.*internal check failed: 1 \\+ 1 == 3");
  ESPARSE_CHECK(1 + 1 == 2);
}

}  // namespace
}  // namespace esparse

#include "base/timing.h"

#include <gtest/gtest.h>

#include <string>

#include "base/cpu.h"

namespace esparse {
namespace {

TEST(Median, IsTheMiddle) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({5, 1, 3}), 3);
  EXPECT_EQ(median({4, 1, 3, 2}), 3) << "the upper of two";
  EXPECT_EQ(median_absolute_deviation({1, 2, 9}), 1) << "of 1, 0, 7";
}

TEST(TimeInTurns, RunsTheBodiesInOrderTurnByTurn) {
  std::string order;
  const std::function<void()> bodies[] = {[&] { order += 'a'; }, [&] { order += 'b'; }};
  const auto times = time_in_turns(bodies, {1, 3, 1000});
  EXPECT_EQ(order, "ababab");
  ASSERT_EQ(times.size(), 2u);
  for (const auto& of_body : times) {
    ASSERT_EQ(of_body.size(), 3u);
    for (const double seconds : of_body) EXPECT_GE(seconds, 0);
  }
}

TEST(TimeInTurns, WithoutTimeRunsTheFewestTurns) {
  int runs = 0;
  const std::function<void()> body = [&] { ++runs; };
  EXPECT_EQ(time_in_turns({&body, 1}, {2, 100, 0})[0].size(), 2u);
  EXPECT_EQ(runs, 2);
}

TEST(Cpu, HasANameAndACache) {
  EXPECT_FALSE(cpu_model_name().empty());
  EXPECT_NE(cpu_model_name().front(), ' ');
  EXPECT_GE(last_level_cache_bytes(), 1 << 16);
  EXPECT_GE(cold_bytes(), 96 << 20);
  EXPECT_LE(cold_bytes(), 1 << 30);
}

}  // namespace
}  // namespace esparse

// The front against all combinations, tried one by one.
#include "search/pareto_front.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <tuple>

namespace esparse {
namespace {

using Groups = std::vector<std::vector<Costs>>;

Groups random_groups(int groups, int options, int costs, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto draw = [&](uint64_t below) { return static_cast<double>(random() % below); };
  Groups result(groups);
  for (auto& group : result)
    for (int option = 0; option < options; ++option)
      group.push_back({draw(50), draw(40), costs > 1 ? draw(30) : 0});  // whole numbers: ties happen, sums are exact
  return result;
}

std::vector<Costs> all_sums(const Groups& groups) {
  std::vector<Costs> sums = {{}};
  for (const auto& group : groups) {
    std::vector<Costs> next;
    for (const Costs& sum : sums)
      for (const Costs& option : group) {
        next.push_back(sum);
        next.back() += option;
      }
    sums = std::move(next);
  }
  return sums;
}

bool beats(const Costs& a, const Costs& b) {
  return a.loss <= b.loss && a.bytes <= b.bytes && a.seconds <= b.seconds &&
         (a.loss < b.loss || a.bytes < b.bytes || a.seconds < b.seconds);
}

auto key(const Costs& costs) { return std::tuple(costs.bytes, costs.seconds, costs.loss); }

TEST(ParetoFront, IsWhatNoCombinationBeats) {
  for (const int costs : {1, 2})
    for (const auto& [groups, options] : {std::pair{1, 5}, {3, 4}, {5, 4}, {6, 3}, {4, 1}})
      for (uint64_t seed = 0; seed < 10; ++seed) {
        const Groups problem = random_groups(groups, options, costs, seed);
        std::vector<std::tuple<double, double, double>> expected, got;
        const auto sums = all_sums(problem);
        for (const Costs& sum : sums)
          if (std::ranges::none_of(sums, [&](const Costs& other) { return beats(other, sum); }))
            expected.push_back(key(sum));
        std::ranges::sort(expected);
        expected.erase(std::unique(expected.begin(), expected.end()), expected.end());
        for (const Selection& selection : pareto_front(problem)) {
          got.push_back(key(selection.total));
          Costs sum;
          ASSERT_EQ(selection.options.size(), problem.size());
          for (size_t group = 0; group < problem.size(); ++group) sum += problem[group][selection.options[group]];
          EXPECT_EQ(key(sum), key(selection.total)) << "the options are those of the sums";
        }
        EXPECT_EQ(got, expected) << groups << " groups of " << options << ", seed " << seed;
      }
}

// Two groups by hand, (loss, bytes): {(0,4), (1,2)} and {(0,4), (3,1)}. (0,8) (1,6) (3,5) (4,3): nothing is beaten.
TEST(ParetoFront, WorkedExample) {
  const Groups groups = {{{0, 4, 0}, {1, 2, 0}}, {{0, 4, 0}, {3, 1, 0}}};
  const auto front = pareto_front(groups);
  ASSERT_EQ(front.size(), 4u);
  EXPECT_EQ(front[0].options, (std::vector<int32_t>{1, 1}));
  EXPECT_EQ(front[1].options, (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(front[2].options, (std::vector<int32_t>{1, 0}));
  EXPECT_EQ(front[3].options, (std::vector<int32_t>{0, 0}));
  EXPECT_EQ(front[2].total.loss, 1);
  EXPECT_EQ(front[2].total.bytes, 6);
  EXPECT_EQ(pareto_front({}).size(), 1u) << "no group: one empty choice";
}

// What loses less costs more, so that few sums are beaten.
Groups trading_groups(int groups, int options, uint64_t seed) {
  std::mt19937_64 random(seed);
  Groups result(groups);
  for (auto& group : result)
    for (int option = 0; option < options; ++option) {
      const double bytes = static_cast<double>(random() % 50), seconds = static_cast<double>(random() % 40);
      group.push_back({1000 / ((1 + bytes) * (1 + seconds)), bytes, seconds});
    }
  return result;
}

// Thinned: every selection of the true front has one near it that loses no more, within a step of bytes and of seconds
// for every group at which points were left out. The first four groups have too few sums to be thinned.
TEST(ParetoFront, ThinnedIsOffByAStepForEveryGroup) {
  constexpr int kGroups = 8, kUnthinned = 4, kSteps = 40;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const Groups problem = trading_groups(kGroups, 6, seed);
    const auto exact = pareto_front(problem), thin = pareto_front(problem, kSteps * kSteps);
    EXPECT_LE(thin.size(), size_t{kSteps * kSteps});
    EXPECT_LT(thin.size(), exact.size());
    Costs most;
    for (const auto& group : problem) {
      most.bytes += std::ranges::max_element(group, {}, &Costs::bytes)->bytes;
      most.seconds += std::ranges::max_element(group, {}, &Costs::seconds)->seconds;
    }
    const double steps = static_cast<double>(kGroups - kUnthinned) / (kSteps - 1);
    for (const Selection& point : exact)
      ASSERT_TRUE(std::ranges::any_of(thin, [&](const Selection& near) {
        return near.total.loss <= point.total.loss * (1 + 1e-12) &&
               near.total.bytes <= point.total.bytes + steps * most.bytes &&
               near.total.seconds <= point.total.seconds + steps * most.seconds;
      }));
  }
}

// The least loss at each number of units of bytes, by filling a table.
std::vector<double> least_losses(const Groups& groups, size_t units, double unit) {
  std::vector<double> best(units + 1, INFINITY);
  best[0] = 0;
  for (const auto& group : groups) {
    std::vector<double> next(units + 1, INFINITY);
    for (size_t used = 0; used <= units; ++used)
      for (const Costs& option : group) {
        const size_t sum = used + static_cast<size_t>(std::lround(option.bytes / unit));
        if (sum <= units) next[sum] = std::min(next[sum], best[used] + option.loss);
      }
    best = std::move(next);
  }
  return best;
}

// As many groups as a model of 80 blocks has, with as many options.
TEST(ParetoFront, OfALargeModelIsThatOfATable) {
  constexpr double kUnit = 1e6;
  Groups groups;
  std::mt19937_64 random(3);
  for (int group = 0; group < 240; ++group) {
    auto& options = groups.emplace_back();
    for (int option = 0; option < 7; ++option)
      options.push_back({static_cast<double>(random() % 1000) * option, kUnit * (6 - option), 0});
  }
  const auto best = least_losses(groups, 240 * 6, kUnit);
  size_t next = 0;
  const auto front = pareto_front(groups);
  double least = INFINITY;
  for (size_t units = 0; units < best.size(); ++units) {
    if (best[units] >= least) continue;  // fewer bytes lose no more
    least = best[units];
    ASSERT_LT(next, front.size());
    EXPECT_EQ(front[next].total.bytes, kUnit * static_cast<double>(units));
    EXPECT_EQ(front[next].total.loss, least);
    ++next;
  }
  EXPECT_EQ(next, front.size());
}

}  // namespace
}  // namespace esparse

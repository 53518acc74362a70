#include "prune/dsnot.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

const PruneTarget kHalf = PruneTarget::unstructured(0.5, SparsityScope::row);

// Channels with these means per sequence and variance 1; one sequence of one token, so that the mean is the sum.
InputStatistics with_means(const std::vector<double>& means) {
  InputStatistics statistics;
  statistics.sequences = statistics.tokens = 1;
  statistics.sum = means;
  for (double mean : means) statistics.sum_squares.push_back(mean * mean + 1.0);
  return statistics;
}

// One row; scores by column. Gives the refined mask.
std::vector<uint8_t> refine(const std::vector<float>& weight, const InputStatistics& statistics,
                            const std::vector<float>& scores, const std::vector<uint8_t>& mask,
                            const PruneTarget& target, const DsnotOptions& options = {}) {
  std::vector<uint8_t> result = mask;
  const auto columns = static_cast<int64_t>(weight.size());
  const int64_t exchanges = dsnot_refine({weight.data(), 1, columns}, statistics, {scores.data(), 1, columns}, target,
                                         options, {result.data(), 1, columns});
  int64_t changed = 0;
  for (size_t j = 0; j < mask.size(); ++j) changed += mask[j] != result[j];
  EXPECT_EQ(changed, 2 * exchanges);
  return result;
}

// Means 1, so that contributions are the weights. Pruned 3 2 -1, error 4. Grow 3; kept weights below 0 are -0.5 (score
// 1) and -2 (score 5): prune -0.5, error 0.5. Then grow 2 and prune -2 would make it -3.5: stop.
TEST(Dsnot, WorkedExample) {
  const InputStatistics statistics = with_means({1, 1, 1, 1, 1, 1});
  EXPECT_EQ(refine({3, 2, -1, -0.5f, -2, 7}, statistics, {9, 9, 9, 1, 5, 0}, {0, 0, 0, 1, 1, 1}, kHalf),
            (std::vector<uint8_t>{1, 0, 0, 0, 1, 1}));
  // All signs turned: the same exchange.
  EXPECT_EQ(refine({-3, -2, 1, 0.5f, 2, -7}, statistics, {9, 9, 9, 1, 5, 0}, {0, 0, 0, 1, 1, 1}, kHalf),
            (std::vector<uint8_t>{1, 0, 0, 0, 1, 1}));
}

// Two groups. Pruned 4 and 1 | 2 and 0.5, error 7.5. Grow 4, in its group only -1 may go: 2.5. Grow 2: its group has
// no weight below 0, passed over. Grow 1: its group's -1 is gone already. Grow 0.5: likewise.
TEST(Dsnot, PartnersComeFromTheGroup) {
  const InputStatistics statistics = with_means(std::vector<double>(8, 1.0));
  EXPECT_EQ(refine({4, 1, -1, 6, 2, 0.5f, 8, 9}, statistics, {1, 1, 5, 2, 1, 1, 3, 3}, {0, 0, 1, 1, 0, 0, 1, 1},
                   PruneTarget::nm({2, 4})),
            (std::vector<uint8_t>{1, 0, 0, 1, 0, 0, 1, 1}));
}

// The last group has only two columns. Pruned 3 and 2: grow 3 for -1 (error 1), then 2 for -0.5 would turn the sign.
TEST(Dsnot, ShorterLastGroup) {
  const InputStatistics statistics = with_means(std::vector<double>(6, 1.0));
  EXPECT_EQ(
      refine({2, -0.5f, 7, 8, 3, -1}, statistics, {0, 1, 2, 3, 0, 1}, {0, 1, 1, 1, 0, 1}, PruneTarget::nm({3, 4})),
      (std::vector<uint8_t>{0, 1, 1, 1, 1, 0}));
}

// Growing prefers a small variance: contribution 2 with variance 1 before 3 with variance 4; with power 0 the 3.
TEST(Dsnot, VarianceCountsAgainstGrowing) {
  InputStatistics statistics = with_means({1, 1, 1, 1});
  statistics.sum_squares[1] = 5;
  EXPECT_EQ(refine({2, 3, -1, 5}, statistics, {1, 1, 1, 1}, {0, 0, 1, 1}, kHalf, {.max_cycle = 1}),
            (std::vector<uint8_t>{1, 0, 0, 1}));
  EXPECT_EQ(refine({2, 3, -1, 5}, statistics, {1, 1, 1, 1}, {0, 0, 1, 1}, kHalf, {.max_cycle = 1, .variance_power = 0}),
            (std::vector<uint8_t>{0, 1, 0, 1}));
}

// A constant channel has no variance: it grows before all others. A dead one has no contribution and never moves.
TEST(Dsnot, ConstantAndDeadChannels) {
  InputStatistics statistics = with_means({1, 1, 1, 0});
  statistics.sum_squares[1] = 1;
  statistics.sum_squares[3] = 0;
  EXPECT_EQ(refine({8, 2, -1, 5}, statistics, {1, 1, 1, 1}, {0, 0, 1, 1}, kHalf, {.max_cycle = 1}),
            (std::vector<uint8_t>{0, 1, 0, 1}));
  EXPECT_EQ(refine({9, 8, -1, 5}, with_means({0, 0, 0, 0}), {1, 1, 1, 1}, {0, 0, 1, 1}, kHalf),
            (std::vector<uint8_t>{0, 0, 1, 1}));
}

TEST(Dsnot, TiesGrowTheLowerAndPruneTheHigherColumn) {
  const InputStatistics statistics = with_means({1, 1, 1, 1, 1, 1});
  EXPECT_EQ(refine({2, 2, 2, -1, -1, -1}, statistics, {0, 0, 0, 4, 4, 4}, {0, 0, 0, 1, 1, 1}, kHalf, {.max_cycle = 1}),
            (std::vector<uint8_t>{1, 0, 0, 1, 1, 0}));
  EXPECT_EQ(refine({2, 2, -1, -1}, with_means({1, 1, 1, 1}), {0, 0, 4, 4}, {0, 0, 1, 1}, PruneTarget::nm({2, 4}),
                   {.max_cycle = 1}),
            (std::vector<uint8_t>{1, 0, 1, 0}));
}

TEST(Dsnot, LimitsOfTheOptions) {
  const InputStatistics statistics = with_means({1, 1, 1, 1});
  const std::vector<uint8_t> mask = {0, 0, 1, 1};
  const std::vector<float> weight = {3, 2, -0.1f, -0.1f};
  EXPECT_EQ(refine(weight, statistics, {1, 1, 1, 1}, mask, kHalf, {.max_cycle = 0}), mask);
  EXPECT_EQ(refine(weight, statistics, {1, 1, 1, 1}, mask, kHalf, {.update_threshold = 5}), mask);  // |error| is 5
  EXPECT_EQ(refine(weight, statistics, {1, 1, 1, 1}, mask, kHalf, {.update_threshold = 4.9}),
            (std::vector<uint8_t>{1, 0, 1, 0}));  // 1.9 is left
  EXPECT_EQ(refine(weight, statistics, {1, 1, 1, 1}, {1, 1, 1, 1}, PruneTarget::dense()),
            (std::vector<uint8_t>{1, 1, 1, 1}));
  EXPECT_OK(DsnotOptions{}.validate());
  const auto kind = StatusKind::invalid_argument;
  EXPECT_FAILURE((DsnotOptions{.max_cycle = -1}.validate()), kind, "DSnoT cycles");
  for (double value : {-0.1, std::nan("")}) {
    EXPECT_FAILURE((DsnotOptions{.update_threshold = value}.validate()), kind, "DSnoT threshold");
    EXPECT_FAILURE((DsnotOptions{.variance_power = value}.validate()), kind, "DSnoT variance power: expected 0 to 8");
  }
}

struct RandomLayer {
  Matrix<float> weight{70, 96}, scores{70, 96};
  InputStatistics statistics;
  explicit RandomLayer(unsigned seed) {
    std::mt19937 random(seed);
    for (float& value : weight.values()) value = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
    statistics.sequences = 3;
    statistics.tokens = 30;
    for (int j = 0; j < 96; ++j) {
      statistics.sum.push_back(static_cast<double>(random() % 100) - 50);
      statistics.sum_squares.push_back(statistics.sum.back() * statistics.sum.back() / 30 + 1 +
                                       static_cast<double>(random() % 50));
    }
    for (int64_t i = 0; i < 70; ++i)
      for (int64_t j = 0; j < 96; ++j)
        scores(i, j) = static_cast<float>(std::fabs(weight(i, j)) * std::sqrt(statistics.sum_squares[j] / 3));
  }
  double error(const Matrix<uint8_t>& mask, int64_t row) const {
    double sum = 0.0;
    for (int64_t j = 0; j < 96; ++j)
      if (mask(row, j) == 0) sum += weight(row, j) * statistics.sum[j] / 3;
    return std::fabs(sum);
  }
};

TEST(Dsnot, LowersTheErrorOfEveryRowAndKeepsThePattern) {
  for (const PruneTarget& target : {PruneTarget::nm({2, 4}), PruneTarget::nm({4, 8}), PruneTarget::nm({1, 8}), kHalf,
                                    PruneTarget::unstructured(0.7, SparsityScope::layer)}) {
    const RandomLayer layer(3);
    Matrix<uint8_t> before(70, 96);
    make_mask(layer.scores.view(), target, before.view());
    Matrix<uint8_t> after = before;
    EXPECT_GT(dsnot_refine(layer.weight.view(), layer.statistics, layer.scores.view(), target, {}, after.view()), 70);
    const int64_t unit = target.kind == TargetKind::nm ? target.pattern.group : 96;
    for (int64_t row = 0; row < 70; ++row) {
      EXPECT_LE(layer.error(after, row), layer.error(before, row));
      for (int64_t first = 0; first < 96; first += unit) {
        int64_t was = 0, is = 0;
        for (int64_t j = first; j < first + unit; ++j) was += before(row, j), is += after(row, j);
        ASSERT_EQ(is, was) << target.text();
      }
    }
  }
}

TEST(Dsnot, SameForAnyThreadCount) {
  const RandomLayer layer(4);
  std::vector<std::vector<uint8_t>> results;
  std::vector<int64_t> exchanges;
  Matrix<float> weight(1400, 96), scores(1400, 96);  // enough to be worth the threads
  for (int64_t row = 0; row < 1400; ++row) {
    std::ranges::copy(layer.weight.row(row % 70), weight.row(row).begin());
    std::ranges::copy(layer.scores.row(row % 70), scores.row(row).begin());
  }
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    Matrix<uint8_t> mask(1400, 96);
    make_mask(scores.view(), kHalf, mask.view());
    exchanges.push_back(dsnot_refine(weight.view(), layer.statistics, scores.view(), kHalf, {}, mask.view()));
    results.emplace_back(mask.values().begin(), mask.values().end());
  }
  set_thread_count(0);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
  EXPECT_EQ(exchanges[0], exchanges[2]);
}

}  // namespace
}  // namespace esparse

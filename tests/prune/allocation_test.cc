#include "prune/allocation.h"

#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Matrix<float> row_of(const std::vector<float>& values) {
  Matrix<float> matrix(1, static_cast<int64_t>(values.size()));
  std::ranges::copy(values, matrix.values().begin());
  return matrix;
}

// Two linears, ten scores with a mean of 2: above 3 * 2 lies the 9 alone, above 2 * 2 the 5 too; the 4 lies at 2 * 2.
TEST(OutlierRatio, WorkedExample) {
  const Matrix<float> a = row_of({9, 0, 1, 0, 0, 1}), b = row_of({5, 4, 0, 0});
  for (const auto& [multiple, percent] : {std::pair{3.0, 10.0}, {2.0, 20.0}, {1.99, 30.0}, {5.0, 0.0}}) {
    OutlierRatio ratio(multiple);
    ratio.add_to_mean(a.view());
    ratio.add_to_mean(b.view());
    ratio.add_to_count(a.view());
    ratio.add_to_count(b.view());
    EXPECT_DOUBLE_EQ(ratio.percent(), percent) << multiple;
  }
  EXPECT_EQ(OutlierRatio(5.0).percent(), 0.0);
}

TEST(OutlierRatio, SameForAnyThreadCount) {
  std::mt19937 random(1);
  Matrix<float> scores(300, 600);
  for (float& score : scores.values()) score = std::exp(static_cast<float>(random() % 1000) / 200.0f);
  std::vector<double> results;
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    OutlierRatio ratio(3.0);
    ratio.add_to_mean(scores.view());
    ratio.add_to_count(scores.view());
    results.push_back(ratio.percent());
  }
  set_thread_count(0);
  EXPECT_GT(results[0], 0.0);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

// Ratios 0 1 4 with lambda 0.08: shares 0, 0.04, 0.16 of mean 0.2 / 3.
TEST(Owl, WorkedExample) {
  const auto sparsities = owl_sparsities(std::vector<double>{0, 1, 4}, 0.08, 0.7);
  ASSERT_EQ(sparsities.size(), 3u);
  EXPECT_NEAR(sparsities[0], 0.7 + 0.2 / 3, 1e-15);
  EXPECT_NEAR(sparsities[1], 0.7 + 0.2 / 3 - 0.04, 1e-15);
  EXPECT_NEAR(sparsities[2], 0.7 + 0.2 / 3 - 0.16, 1e-15);
}

TEST(Owl, EqualRatiosAreUniform) {
  EXPECT_EQ(owl_sparsities(std::vector<double>{2, 2, 2}, 0.08, 0.7), (std::vector<double>{0.7, 0.7, 0.7}));
  EXPECT_EQ(owl_sparsities(std::vector<double>{2}, 0.08, 0.7), (std::vector<double>{0.7}));
  EXPECT_EQ(owl_kept(std::vector<double>{2, 2, 2}, 2, {4, 8}), (std::vector<int>{4, 4, 4}));
  EXPECT_TRUE(owl_sparsities({}, 0.08, 0.7).empty());
  EXPECT_TRUE(owl_kept({}, 2, {4, 8}).empty());
}

// Ratios 0 0 0 1, lambda 0.3, sparsity 0.9: unclamped 1.05 1.05 1.05 0.45. Three stay at 0.99, so that the mean holds
// the last must be 3.6 - 2.97.
TEST(Owl, ClampingKeepsTheMean) {
  const auto sparsities = owl_sparsities(std::vector<double>{0, 0, 0, 1}, 0.3, 0.9);
  for (int block = 0; block < 3; ++block) EXPECT_NEAR(sparsities[block], 0.99, 1e-12);
  EXPECT_NEAR(sparsities[3], 0.63, 1e-12);
}

TEST(Owl, MeansHoldForRandomRatios) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<double> ratios(1 + random() % 80);
    for (double& ratio : ratios) ratio = static_cast<double>(random() % 1000) / 37;
    const double sparsity = 0.01 * static_cast<double>(1 + random() % 99);
    const auto sparsities = owl_sparsities(ratios, 0.05 * static_cast<double>(random() % 11), sparsity);
    EXPECT_NEAR(mean(sparsities), sparsity, 1e-12);
    const NmPattern pattern{static_cast<int>(1 + random() % 7), 8};
    const auto kept = owl_kept(ratios, static_cast<double>(random() % 9), pattern);
    EXPECT_EQ(std::accumulate(kept.begin(), kept.end(), size_t{0}), ratios.size() * pattern.kept);
    for (size_t a = 0; a < ratios.size(); ++a) {
      EXPECT_TRUE(sparsities[a] >= 0.01 - 1e-15 && sparsities[a] <= 0.99 + 1e-15);
      EXPECT_TRUE(kept[a] >= 1 && kept[a] <= 8);
      for (size_t b = 0; b < a; ++b)
        if (ratios[a] > ratios[b]) {
          EXPECT_LE(sparsities[a], sparsities[b]);
          EXPECT_GE(kept[a] + 1, kept[b]);  // rounding may part equal values, never by more than 1
        }
    }
  }
}

// Ratios 0 1 4 with span 2: 0, 0.5, 2 of mean 2.5 / 3, so N moves by -0.83, -0.33, 1.17. Rounded down -1, -1, 1; the
// one that is missing goes to the largest fraction, the second's.
TEST(Owl, WorkedExampleOfKept) {
  EXPECT_EQ(owl_kept(std::vector<double>{0, 1, 4}, 2, {4, 8}), (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(owl_kept(std::vector<double>{0, 0, 1}, 2, {2, 4}), (std::vector<int>{2, 1, 3}));  // equal fractions: first
  EXPECT_EQ(owl_kept(std::vector<double>{0, 1}, 6, {2, 4}), (std::vector<int>{1, 3}));        // at least 1 of a group
}

TEST(Owl, Targets) {
  const std::vector<double> ratios = {0, 1, 4};
  const auto rows = owl_targets(ratios, {}, PruneTarget::unstructured(0.7, SparsityScope::layer));
  ASSERT_OK(rows);
  for (size_t block = 0; block < 3; ++block)
    EXPECT_EQ((*rows)[block],
              PruneTarget::unstructured(owl_sparsities(ratios, 0.08, 0.7)[block], SparsityScope::layer));
  EXPECT_NEAR(average_sparsity(*rows), 0.7, 1e-15);

  // 6 moves by -5/3, -2/3, 7/3. The last stops at 8, the others are raised by 1/6 for it: 4.5, 5.5, 8.
  const auto groups = owl_targets(ratios, {.nm_span = 4}, PruneTarget::nm({6, 8}));
  ASSERT_OK(groups);
  EXPECT_EQ(*groups, (std::vector{PruneTarget::nm({5, 8}), PruneTarget::nm({5, 8}), PruneTarget::dense()}));
  EXPECT_NEAR(average_sparsity(*groups), 0.25, 1e-15);
  EXPECT_EQ(average_sparsity({}), 0.0);
}

TEST(Owl, Refusals) {
  const std::vector<double> ratios = {0, 1};
  const PruneTarget half = PruneTarget::unstructured(0.5, SparsityScope::row);
  const auto kind = StatusKind::invalid_argument;
  EXPECT_FAILURE(owl_targets(ratios, {}, PruneTarget::dense()), kind, "got dense");
  EXPECT_FAILURE(owl_targets(ratios, {}, PruneTarget::nm({4, 4})), kind, "1 <= N < M");
  for (double sparsity : {0.005, 0.995})
    EXPECT_FAILURE(owl_targets(ratios, {}, PruneTarget::unstructured(sparsity, SparsityScope::row)), kind,
                   "a sparsity of 1 % to 99 %");
  for (double lambda : {-0.1, 0.6, std::nan("")})
    EXPECT_FAILURE(owl_targets(ratios, {.lambda = lambda}, half), kind, "OWL lambda: expected 0 to 0.5");
  for (double multiple : {0.0, -1.0, HUGE_VAL, std::nan("")})
    EXPECT_FAILURE(owl_targets(ratios, {.outlier_multiple = multiple}, half), kind, "OWL outlier multiple");
  for (double span : {-1.0, 33.0, std::nan("")})
    EXPECT_FAILURE(owl_targets(ratios, {.nm_span = span}, half), kind, "OWL N:M span: expected 0 to 32");
}

}  // namespace
}  // namespace esparse

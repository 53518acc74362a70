#include "prune/saliency.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "prune/golden_cases.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// Two sequences of together 8 tokens; sums of squares 2 and 32.
InputStatistics small_statistics() {
  InputStatistics statistics;
  statistics.sequences = 2;
  statistics.tokens = 8;
  statistics.sum_squares = {2.0, 32.0};
  statistics.entropy = {0.5, 3.0};
  statistics.inverse_diagonal = {0.25, 0.5};
  return statistics;
}

std::vector<float> score(std::string_view method, const SaliencyOptions& options = {}) {
  Matrix<float> weight(2, 2);
  weight(0, 0) = 1, weight(0, 1) = -2, weight(1, 0) = -0.5f, weight(1, 1) = 0;
  Matrix<float> saliency(2, 2);
  const auto found = find_saliency(method);
  EXPECT_OK(found);
  (*found)->score(weight.view(), small_statistics(), options, saliency.view());
  return {saliency.values().begin(), saliency.values().end()};
}

TEST(Saliency, Norms) {
  EXPECT_EQ(input_norms(small_statistics(), NormReduction::per_seq), (std::vector<double>{1, 4}));
  EXPECT_EQ(input_norms(small_statistics(), NormReduction::per_token), (std::vector<double>{0.5, 2}));
  InputStatistics one_token;
  one_token.sequences = one_token.tokens = 1;
  one_token.sum_squares = {4.0, 9.0};
  EXPECT_EQ(input_norms(one_token, NormReduction::total), (std::vector<double>{2, 3}));
}

// |w| = [1 2; 0.5 0], norms 1 and 4, entropy 0.5 and 3, inverse diagonal 1/4 and 1/2.
TEST(Saliency, WorkedExamples) {
  EXPECT_EQ(score("magnitude"), (std::vector<float>{1, 2, 0.5f, 0}));
  EXPECT_EQ(score("wanda"), (std::vector<float>{1, 8, 0.5f, 0}));
  EXPECT_EQ(score("esparse"), (std::vector<float>{1.5f, 14, 0.75f, 0}));
  EXPECT_EQ(score("esparse", {.alpha = 0.0}), (std::vector<float>{0.5f, 6, 0.25f, 0}));  // the entropy alone
  EXPECT_EQ(score("esparse", {.alpha = 2.0, .norm_reduction = NormReduction::per_token}),
            (std::vector<float>{1.5f, 14, 0.75f, 0}));
  EXPECT_EQ(score("esparse-product"), (std::vector<float>{0.5f, 24, 0.25f, 0}));
  EXPECT_EQ(score("esparse-product", {.alpha = 7.0}), score("esparse-product"));
  EXPECT_EQ(score("obs"), (std::vector<float>{4, 8, 1, 0}));
}

// Columns sum to 1.5 and 2, rows to 3 and 0.5; norms to the power 1/2 are 1 and 2.
TEST(Saliency, RelativeImportance) {
  const auto third = static_cast<float>(1 + 1.0 / 3);
  EXPECT_EQ(score("ria"), (std::vector<float>{1, static_cast<float>(2 * (1 + 2.0 / 3)), third, 0}));
  EXPECT_EQ(score("ria", {.ria_power = 0.0}), (std::vector<float>{1, static_cast<float>(1 + 2.0 / 3), third, 0}));
  EXPECT_EQ(score("ria", {.ria_power = 1.0})[1], static_cast<float>(4 * (1 + 2.0 / 3)));
}

TEST(Saliency, RowsAndColumnsOfZerosScoreZero) {
  Matrix<float> weight(2, 2), saliency(2, 2);
  weight(0, 0) = -3;  // row 1 and column 1 are empty
  std::ranges::fill(saliency.values(), std::numeric_limits<float>::quiet_NaN());
  (*find_saliency("ria"))->score(weight.view(), small_statistics(), {}, saliency.view());
  EXPECT_EQ(std::vector<float>(saliency.values().begin(), saliency.values().end()), (std::vector<float>{2, 0, 0, 0}));
}

TEST(Saliency, SameForAnyThreadCount) {
  std::mt19937 random(1);
  Matrix<float> weight(300, 600);  // more than one piece of rows and of columns
  for (float& value : weight.values()) value = static_cast<float>(random()) / 1e9f - 2.0f;
  InputStatistics statistics;
  statistics.sequences = statistics.tokens = 1;
  for (int j = 0; j < 600; ++j) {
    statistics.sum_squares.push_back(static_cast<double>(random() % 1000));
    statistics.entropy.push_back(static_cast<double>(random() % 5));
    statistics.inverse_diagonal.push_back(1.0 + static_cast<double>(random() % 7));
  }
  for (const SaliencyMethod& method : saliency_methods()) {
    std::vector<std::vector<float>> results;
    for (int threads : {1, 2, 3}) {
      set_thread_count(threads);
      Matrix<float> saliency(300, 600);
      method.score(weight.view(), statistics, {}, saliency.view());
      results.emplace_back(saliency.values().begin(), saliency.values().end());
    }
    EXPECT_EQ(results[0], results[1]) << method.name;
    EXPECT_EQ(results[0], results[2]) << method.name;
  }
  set_thread_count(0);
}

TEST(Saliency, RegistryNamesWhatThereIs) {
  std::vector<std::string_view> names;
  for (const SaliencyMethod& method : saliency_methods()) {
    names.push_back(method.name);
    EXPECT_FALSE(method.summary.empty());
    EXPECT_EQ(*find_saliency(method.name), &method);
  }
  EXPECT_EQ(names, (std::vector<std::string_view>{"magnitude", "wanda", "esparse", "esparse-product", "ria", "obs"}));
  EXPECT_FALSE((*find_saliency("magnitude"))->needs.any());
  EXPECT_FALSE((*find_saliency("wanda"))->needs.entropy);
  EXPECT_TRUE((*find_saliency("esparse"))->needs.entropy);
  EXPECT_TRUE((*find_saliency("obs"))->needs.gram);
  EXPECT_FALSE((*find_saliency("obs"))->needs.norms);
  EXPECT_FAILURE(find_saliency("Wanda"), StatusKind::invalid_argument,
                 "one of magnitude, wanda, esparse, esparse-product, ria, obs");
  EXPECT_FAILURE(find_saliency(""), StatusKind::invalid_argument,
                 "one of magnitude, wanda, esparse, esparse-product, ria, obs");
}

TEST(Saliency, ParsesNormReductions) {
  for (NormReduction reduction : {NormReduction::per_seq, NormReduction::per_token, NormReduction::total}) {
    const auto parsed = parse_norm_reduction(norm_reduction_name(reduction));
    ASSERT_OK(parsed);
    EXPECT_EQ(*parsed, reduction);
  }
  EXPECT_FAILURE(parse_norm_reduction("mean"), StatusKind::invalid_argument, "per_seq, per_token or total");
}

TEST(Saliency, Golden) {
  for (const GoldenCase& golden : golden_cases()) {
    const InputStatistics statistics = gather_statistics(golden.inputs, golden.sequences, {});
    for (const auto& [name, reduction] : {std::pair{"norm.per_seq", NormReduction::per_seq},
                                          {"norm.per_token", NormReduction::per_token},
                                          {"norm.total", NormReduction::total}}) {
      const auto norms = input_norms(statistics, reduction);
      // Sums of at most 1000 squares in double, in whatever order.
      expect_close(std::span<const double>(norms), golden.values<double>(name), 1e-13, golden.name + " " + name);
    }
    for (const SaliencyMethod& method : saliency_methods()) {
      if (method.needs.gram) continue;  // obs has its worked example
      Matrix<float> saliency(golden.weight.rows(), golden.weight.cols());
      method.score(golden.weight.view(), statistics, {}, saliency.view());
      const std::string name = fmt::format("saliency.{}", method.name);
      // Rounded to float once: half a unit in the last place, 2^-24.
      expect_close(std::span<const float>(saliency.values()), golden.values<double>(name), 6.1e-8,
                   golden.name + " " + name);
    }
  }
}

}  // namespace
}  // namespace esparse

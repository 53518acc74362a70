#include "prune/saliency.h"

#include <gtest/gtest.h>

#include "prune/golden_cases.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// Two sequences of together 8 tokens; sums of squares 2 and 32.
InputStatistics small_statistics() { return {2, 8, {2.0, 32.0}, {0.5, 3.0}}; }

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
  EXPECT_EQ(input_norms({1, 1, {4.0, 9.0}, {}}, NormReduction::total), (std::vector<double>{2, 3}));
}

// |w| = [1 2; 0.5 0], norms 1 and 4, entropy 0.5 and 3.
TEST(Saliency, WorkedExamples) {
  EXPECT_EQ(score("magnitude"), (std::vector<float>{1, 2, 0.5f, 0}));
  EXPECT_EQ(score("wanda"), (std::vector<float>{1, 8, 0.5f, 0}));
  EXPECT_EQ(score("esparse"), (std::vector<float>{1.5f, 14, 0.75f, 0}));
  EXPECT_EQ(score("esparse", {.alpha = 0.0}), (std::vector<float>{0.5f, 6, 0.25f, 0}));  // the entropy alone
  EXPECT_EQ(score("esparse", {.alpha = 2.0, .norm_reduction = NormReduction::per_token}),
            (std::vector<float>{1.5f, 14, 0.75f, 0}));
}

TEST(Saliency, RegistryNamesWhatThereIs) {
  std::vector<std::string_view> names;
  for (const SaliencyMethod& method : saliency_methods()) {
    names.push_back(method.name);
    EXPECT_FALSE(method.summary.empty());
    EXPECT_EQ(*find_saliency(method.name), &method);
  }
  EXPECT_EQ(names, (std::vector<std::string_view>{"magnitude", "wanda", "esparse"}));
  EXPECT_FALSE((*find_saliency("magnitude"))->needs.any());
  EXPECT_FALSE((*find_saliency("wanda"))->needs.entropy);
  EXPECT_TRUE((*find_saliency("esparse"))->needs.entropy);
  EXPECT_FAILURE(find_saliency("Wanda"), StatusKind::invalid_argument, "one of magnitude, wanda, esparse");
  EXPECT_FAILURE(find_saliency(""), StatusKind::invalid_argument, "one of magnitude, wanda, esparse");
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

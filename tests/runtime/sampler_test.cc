#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

namespace esparse {
namespace {

const std::vector<float> kLogits = {0.0f, 2.0f, 1.0f, 2.0f, -5.0f};

TEST(Sampler, GreedyTakesTheLargestAndTheLowerIdOnTies) {
  Sampler sampler({.temperature = 0});
  EXPECT_EQ(sampler.next(kLogits), 1);
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  Sampler sampler({.temperature = 2.0, .seed = 5});
  constexpr int kDraws = 40000;
  std::array<int, 5> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.next(kLogits)];
  double total = 0;
  for (float logit : kLogits) total += std::exp(logit / 2.0);
  for (size_t id = 0; id < kLogits.size(); ++id) {
    const double p = std::exp(kLogits[id] / 2.0) / total;
    // Five standard deviations: the seed is fixed, so this passes always or never.
    EXPECT_NEAR(counts[id] / static_cast<double>(kDraws), p, 5 * std::sqrt(p * (1 - p) / kDraws)) << id;
  }
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  Sampler both({.temperature = 1.0, .top_p = 0.5, .seed = 1});
  std::array<int, 5> counts{};
  for (int i = 0; i < 2000; ++i) ++counts[both.next(kLogits)];
  EXPECT_GT(counts[1], 800);  // two equal logits share it: each has 0.40, together they pass 0.5
  EXPECT_GT(counts[3], 800);
  EXPECT_EQ(counts[0] + counts[2] + counts[4], 0);
  Sampler one({.temperature = 1.0, .top_p = 1e-9, .seed = 1});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(one.next(kLogits), 1);
}

TEST(Sampler, SeedDecides) {
  auto draw = [](uint64_t seed) {
    Sampler sampler({.temperature = 1.0, .seed = seed});
    std::vector<int32_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.next(kLogits));
    return ids;
  };
  EXPECT_EQ(draw(3), draw(3));
  EXPECT_NE(draw(3), draw(4));
}

TEST(Sampler, OptionsAreChecked) {
  EXPECT_TRUE(SamplingOptions{}.validate().ok());
  for (const SamplingOptions& bad :
       {SamplingOptions{.temperature = -1}, SamplingOptions{.temperature = NAN}, SamplingOptions{.top_p = 0},
        SamplingOptions{.top_p = 1.5}, SamplingOptions{.top_p = NAN}})
    EXPECT_FALSE(bad.validate().ok());
}

}  // namespace
}  // namespace esparse

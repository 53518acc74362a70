// Channel orders where M does not divide the channels: the last, shorter group keeps its channels.
#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "prune/layer_problem.h"
#include "prune/shuffle.h"
#include "prune/shuffle_support.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// By sorting every group of every row; a group keeps ceil(N * width / M) scores.
double mass_reference(const Matrix<float>& saliency, NmPattern pattern, const ChannelOrder& order) {
  double mass = 0.0;
  for (int64_t row = 0; row < saliency.rows(); ++row)
    for (int64_t first = 0; first < saliency.cols(); first += pattern.group) {
      std::vector<float> scores;
      for (int64_t k = first; k < std::min(saliency.cols(), first + pattern.group); ++k)
        scores.push_back(saliency(row, order[k]));
      std::ranges::sort(scores, std::greater<>());
      const auto width = static_cast<int>(scores.size());
      for (int k = 0; k < width; ++k)
        if (k * pattern.group < pattern.kept * width) mass += scores[k];
    }
  return mass;
}

// 2:4 on 10 9 8 7 | 4 3: of the tail of two one is kept.
TEST(RaggedShuffle, RetainedMassWorkedExample) {
  Matrix<float> saliency(1, 6);
  std::ranges::copy(std::vector<float>{10, 9, 8, 7, 4, 3}, saliency.values().begin());
  EXPECT_EQ(retained_mass(saliency.view(), {2, 4}, identity_order(6)), 10.0 + 9.0 + 4.0);
  EXPECT_EQ(retained_mass(saliency.view(), {2, 4}, ChannelOrder{0, 1, 4, 5, 2, 3}), 10.0 + 9.0 + 8.0);
  EXPECT_EQ(retained_mass(saliency.view(), {4, 8}, identity_order(6)), 10.0 + 9.0 + 8.0);
}

TEST(RaggedShuffle, OrdersTheWholeGroupsAndLeavesTheTail) {
  for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}, {1, 2}, {5, 7}, {8, 16}})
    for (const char* shuffle : {"none", "global", "local", "global+local", "lsa"})
      for (int64_t tail = 1; tail < pattern.group; ++tail) {
        const ShuffleOptions options = *ShuffleOptions::parse(shuffle);
        const int64_t whole = 6 * pattern.group, channels = whole + tail;
        const Matrix<float> saliency = correlated_saliency(30, channels, 0.8f, static_cast<int>(tail));
        Matrix<float> leading(30, whole);
        for (int64_t row = 0; row < 30; ++row) std::copy_n(saliency.row(row).begin(), whole, leading.row(row).begin());
        ChannelOrder expected = find_channel_order(leading.view(), pattern, options).order;
        for (int64_t channel = whole; channel < channels; ++channel) expected.push_back(static_cast<int32_t>(channel));
        const ShuffleResult result = find_channel_order(saliency.view(), pattern, options);
        const ChannelOrder& order = result.order;
        ASSERT_EQ(order, expected) << pattern.text() << " " << shuffle << " " << channels;
        const double mass = mass_reference(saliency, pattern, order);
        EXPECT_NEAR(retained_mass(saliency.view(), pattern, order), mass, 1e-12 * mass);
        const double identity_mass = mass_reference(saliency, pattern, identity_order(channels));
        EXPECT_GE(mass, identity_mass * (1 - 1e-12));
        EXPECT_NEAR(result.retained / result.retained_identity, mass / identity_mass, 1e-12);
      }
}

TEST(RaggedShuffle, NoWholeGroupKeepsEveryChannel) {
  const Matrix<float> saliency = correlated_saliency(10, 13, 0.8f, 1);
  EXPECT_EQ(find_channel_order(saliency.view(), {8, 16}, *ShuffleOptions::parse("global+local")).order,
            identity_order(13));
}

// Four heads of six channels, 4:12: heads are narrower than a group, so their channels stay; 24 is a whole number of
// groups, 4:16 leaves a tail of eight with ceil(4 * 8 / 16) = 2 kept.
TEST(RaggedShuffle, HeadsThatStraddleGroupsKeepTheirChannels) {
  for (const NmPattern pattern : {NmPattern{4, 12}, {4, 16}}) {
    LinearRecipe recipe;
    recipe.saliency = find_saliency("magnitude").value();
    recipe.target = PruneTarget::nm(pattern);
    recipe.shuffle = *ShuffleOptions::parse("global+local");
    LayerProblem problem;
    problem.linears.push_back({"o", correlated_saliency(20, 24, 0.8f, 2), recipe});
    problem.freedom = {4, 2};
    const auto solution = solve_layer(std::move(problem));
    ASSERT_OK(solution);
    EXPECT_EQ(solution->order, identity_order(24));
    for (int64_t row = 0; row < 20; ++row) {
      const auto weights = solution->linears[0].weight.row(row);
      EXPECT_EQ(std::ranges::count_if(weights, [](float w) { return w != 0; }), pattern.group == 12 ? 8 : 4 + 2);
    }
  }
}

}  // namespace
}  // namespace esparse

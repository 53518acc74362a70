#include "prune/shuffle_block.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "prune/shuffle_support.h"

namespace esparse {
namespace {

// Every gain of every round against the plain difference of two retained masses.
void compare_gains(NmPattern pattern, int64_t rows, int64_t groups, int seed) {
  const int64_t channels = groups * pattern.group;
  const Matrix<float> saliency = correlated_saliency(rows, channels, 0.8f, seed);
  const ChannelOrder start = identity_order(channels);
  BlockSwapSearch search(saliency.view(), pattern, start, 1e-4);
  int rounds = 0;
  do {
    const ChannelOrder order = search.order();
    const double mass = retained_mass(saliency.view(), pattern, order);
    for (int64_t i = 0; i < channels; ++i) {
      for (int64_t k = i + 1; k < channels; ++k) {
        if (i / pattern.group == k / pattern.group) continue;
        ASSERT_NE(search.group_of(order[i]), search.group_of(order[k]));
        ChannelOrder swapped = order;
        std::swap(swapped[i], swapped[k]);
        const double expected = retained_mass(saliency.view(), pattern, swapped) - mass;
        // A few float additions per partial sum: 20 units of 2^-24 of the summed scores is generous.
        ASSERT_NEAR(search.gain(order[i], order[k]), expected, 1.2e-6 * mass)
            << pattern.text() << " round " << rounds << " channels " << order[i] << ", " << order[k];
      }
    }
    ++rounds;
  } while (search.run_round());
  EXPECT_GT(rounds, 1) << "nothing was swapped, nothing was tested";
}

TEST(BlockSwapSearch, GainsEqualRecomputation) {
  compare_gains({2, 4}, 20, 6, 1);
  compare_gains({1, 4}, 20, 6, 2);
  compare_gains({3, 4}, 20, 6, 3);
  compare_gains({4, 8}, 20, 4, 4);
  compare_gains({6, 8}, 20, 4, 5);
  compare_gains({5, 7}, 20, 4, 6);
  compare_gains({1, 2}, 20, 8, 7);
  compare_gains({16, 32}, 40, 2, 8);
}

// One row, rows that fill lanes and panels exactly, and one row more.
TEST(BlockSwapSearch, GainsForRaggedRowCounts) {
  for (int64_t rows : {1, 15, 16, 17, 255, 256, 257, 530}) compare_gains({2, 4}, rows, 4, static_cast<int>(rows));
}

// The closed form by hand, 1:2, one row: groups {5, 1} and {4, 2} keep 5 + 4. Swapping 1 (channel 1) with 4 (channel 2)
// gives {5, 4} and {1, 2}: 5 + 2, a change of -2. Swapping 5 with 4 changes nothing.
TEST(BlockSwapSearch, WorkedExample) {
  Matrix<float> saliency(1, 4);
  saliency(0, 0) = 5, saliency(0, 1) = 1, saliency(0, 2) = 4, saliency(0, 3) = 2;
  BlockSwapSearch search(saliency.view(), {1, 2}, identity_order(4), 1e-4);
  EXPECT_EQ(search.gain(1, 2), -2.0);
  EXPECT_EQ(search.gain(2, 1), -2.0);
  EXPECT_EQ(search.gain(0, 2), 0.0);
  EXPECT_EQ(search.gain(1, 3), 0.0);
  EXPECT_FALSE(search.run_round());
  EXPECT_EQ(search.order(), identity_order(4));
}

// After the search no single swap gains more than the stop allows.
TEST(BlockSwapSearch, EndsInALocalOptimum) {
  const Matrix<float> saliency = correlated_saliency(64, 48, 0.8f, 9);
  constexpr double kMinGain = 1e-2;
  BlockSwapSearch search(saliency.view(), {2, 4}, identity_order(48), kMinGain);
  double mass = retained_mass(saliency.view(), {2, 4}, search.order());
  while (search.run_round()) {
    const double next = retained_mass(saliency.view(), {2, 4}, search.order());
    EXPECT_GT(next, mass);
    mass = next;
  }
  for (int64_t a = 0; a < 48; ++a) {
    for (int64_t b = a + 1; b < 48; ++b) {
      if (search.group_of(a) == search.group_of(b)) continue;
      EXPECT_LT(search.gain(a, b), kMinGain);
    }
  }
}

// Columns in any order and not all of them: indices of gain() are those of the channel list.
TEST(BlockSwapSearch, WorksOnAListOfColumns) {
  const Matrix<float> saliency = correlated_saliency(30, 40, 1.0f, 10);
  const ChannelOrder columns = {39, 3, 17, 8, 30, 31, 5, 0};
  BlockSwapSearch search(saliency.view(), {2, 4}, columns, 1e-4);
  EXPECT_EQ(search.order(), columns);
  while (search.run_round()) {
  }
  ChannelOrder order = search.order();
  std::ranges::sort(order);
  EXPECT_EQ(order, (ChannelOrder{0, 3, 5, 8, 17, 30, 31, 39}));
}

}  // namespace
}  // namespace esparse

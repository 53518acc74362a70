#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "prune/shuffle.h"
#include "prune/shuffle_support.h"

namespace esparse {
namespace {

// The same steps by trying every exchange of the channels in a slot, each by its retained mass.
ChannelOrder lsa_reference(const Matrix<float>& saliency, NmPattern pattern, ChannelOrder order) {
  const int64_t groups = saliency.cols() / pattern.group;
  for (int slot = 0; slot < pattern.group; ++slot) {
    std::vector<int32_t> giver(groups);
    std::iota(giver.begin(), giver.end(), 0);
    ChannelOrder best = order;
    do {
      ChannelOrder candidate = order;
      for (int64_t group = 0; group < groups; ++group)
        candidate[group * pattern.group + slot] = order[giver[group] * pattern.group + slot];
      if (retained_mass(saliency.view(), pattern, candidate) > retained_mass(saliency.view(), pattern, best))
        best = candidate;
    } while (std::ranges::next_permutation(giver).found);
    order = best;
  }
  return order;
}

// 10 9 8 7 | 4 3 2 1 ascending is channels 7 6 5 4 3 2 1 0; two groups in a snake: 7 | 6, then 5 to the second and 4 to
// the first, 3 | 2, and 1 to the second, 0 to the first.
TEST(ShuffleLsa, HeuristicAllocationWorkedExample) {
  Matrix<float> saliency(1, 8);
  std::ranges::copy(std::vector<float>{10, 9, 8, 7, 4, 3, 2, 1}, saliency.values().begin());
  EXPECT_EQ(heuristic_allocation(saliency.view(), {2, 4}), (ChannelOrder{7, 4, 3, 0, 6, 5, 2, 1}));
  std::ranges::fill(saliency.values(), 1.0f);  // of equal channels the lower one comes first
  EXPECT_EQ(heuristic_allocation(saliency.view(), {2, 4}), (ChannelOrder{0, 3, 4, 7, 1, 2, 5, 6}));
}

// 1:2, one row, {5, 4} and {2, 1} keep 5 + 2. Slot 0 may hold 5 | 2 or 2 | 5: {2, 4} and {5, 1} keep 4 + 5. Then slot 1
// has nothing to gain.
TEST(ShuffleLsa, AssignmentWorkedExample) {
  Matrix<float> saliency(1, 4);
  std::ranges::copy(std::vector<float>{5, 4, 2, 1}, saliency.values().begin());
  EXPECT_EQ(lsa_shuffle(saliency.view(), {1, 2}, identity_order(4), 1), (ChannelOrder{2, 1, 0, 3}));
  EXPECT_EQ(lsa_shuffle(saliency.view(), {1, 2}, identity_order(4), 2), identity_order(4));
}

TEST(ShuffleLsa, EqualsEveryExchangeTried) {
  int moved = 0;
  for (const NmPattern pattern : {NmPattern{2, 4}, {1, 4}, {3, 4}, {1, 2}, {4, 8}, {2, 8}, {6, 8}, {5, 7}}) {
    for (int seed = 0; seed < 3; ++seed) {
      const int64_t groups = 5, rows = 10 + seed * 150;  // the last in two panels
      const Matrix<float> saliency = correlated_saliency(rows, groups * pattern.group, 0.8f, seed + 20);
      const ChannelOrder start = identity_order(saliency.cols());
      const ChannelOrder order = lsa_shuffle(saliency.view(), pattern, start, 1);
      const double mass = retained_mass(saliency.view(), pattern, order);
      const double expected = retained_mass(saliency.view(), pattern, lsa_reference(saliency, pattern, start));
      // Values are f32 sums over at most 256 rows: near-ties may fall differently, worth no more than their rounding.
      EXPECT_NEAR(mass, expected, 1e-6 * expected) << pattern.text() << " seed " << seed;
      moved += order != start;
    }
  }
  EXPECT_EQ(moved, 24) << "nothing was assigned, nothing was tested";
}

TEST(ShuffleLsa, NeverLowersTheMassAndStaysInsideItsBlocks) {
  for (const NmPattern pattern : {NmPattern{2, 4}, {1, 4}, {2, 8}, {4, 8}, {6, 8}, {8, 16}, {1, 2}, {16, 32}}) {
    for (int seed = 0; seed < 6; ++seed) {
      const int64_t groups = seed + 5, blocks = seed % 3 + 1;
      const Matrix<float> saliency = correlated_saliency(1 + 30 * seed, groups * pattern.group, 0.8f, seed);
      ChannelOrder start = identity_order(saliency.cols());
      std::ranges::shuffle(start, std::mt19937(seed));
      const ChannelOrder order = lsa_shuffle(saliency.view(), pattern, start, blocks);
      EXPECT_GE(retained_mass(saliency.view(), pattern, order), retained_mass(saliency.view(), pattern, start))
          << pattern.text() << " seed " << seed;
      for (int64_t block = 0; block < blocks; ++block) {
        const int64_t first = groups * block / blocks * pattern.group;
        const int64_t end = groups * (block + 1) / blocks * pattern.group;
        EXPECT_TRUE(std::is_permutation(order.begin() + first, order.begin() + end, start.begin() + first,
                                        start.begin() + end));
      }
    }
  }
}

// More blocks than groups, one group, no channels, no rows, equal scores.
TEST(ShuffleLsa, NothingToGainChangesNothing) {
  const NmPattern pattern{2, 4};
  const Matrix<float> saliency = correlated_saliency(20, 12, 0.8f, 1);
  EXPECT_EQ(lsa_shuffle(saliency.view(), pattern, identity_order(12), 100), identity_order(12));
  const Matrix<float> one = correlated_saliency(20, 4, 0.8f, 1);
  EXPECT_EQ(lsa_shuffle(one.view(), pattern, identity_order(4), 1), identity_order(4));
  EXPECT_TRUE(lsa_shuffle(Matrix<float>(3, 0).view(), pattern, {}, 1).empty());
  EXPECT_EQ(lsa_shuffle(Matrix<float>(0, 8).view(), pattern, identity_order(8), 1), identity_order(8));
  Matrix<float> equal(5, 16);
  std::ranges::fill(equal.values(), 3.0f);
  EXPECT_EQ(lsa_shuffle(equal.view(), pattern, identity_order(16), 1), identity_order(16));
}

// Dealing is the start of both searches; the assignment adds to it.
TEST(ShuffleLsa, BeatsTheHeuristicAllocation) {
  const NmPattern pattern{2, 4};
  const Matrix<float> saliency = correlated_saliency(128, 512, 0.8f, 11);
  const ChannelOrder start = heuristic_allocation(saliency.view(), pattern);
  const double start_mass = retained_mass(saliency.view(), pattern, start);
  EXPECT_GT(retained_mass(saliency.view(), pattern, lsa_shuffle(saliency.view(), pattern, start, 1)),
            1.005 * start_mass);
  const ShuffleResult found = find_channel_order(saliency.view(), pattern, *ShuffleOptions::parse("lsa"));
  EXPECT_EQ(found.order, lsa_shuffle(saliency.view(), pattern, start, 1));
}

}  // namespace
}  // namespace esparse

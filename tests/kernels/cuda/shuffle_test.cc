// The sums of the channel shuffle. Scores are small whole numbers here, so that every sum is exact and the expected
// ones are plain loops; that bits are those of the CPU's kernels for any scores is tested in tests/gpu_prune.
#include "kernels/cuda/shuffle.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/test_backend.h"

namespace esparse::cuda {
namespace {

std::vector<float> random_scores(int64_t channels, int64_t rows, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> scores(static_cast<size_t>(channels * rows));
  for (float& score : scores) score = static_cast<float>(random() % 64);
  return scores;
}

TEST(CudaShuffle, ThresholdsAreTheNthLargestOfTheOthers) {
  struct Pattern {
    int kept, group;
  };
  for (const Pattern pattern : {Pattern{2, 4}, {1, 2}, {4, 8}, {3, 7}, {7, 8}, {31, 32}, {1, 32}})
    for (const int64_t rows : {32, 288, 512}) {
      const int groups = 18, channels = groups * pattern.group;
      const auto scores = random_scores(channels, rows, 1);
      std::vector<int32_t> members(channels);
      std::iota(members.begin(), members.end(), 0);
      std::shuffle(members.begin(), members.end(), std::mt19937(2));
      const int64_t panels = (rows + kShufflePanelRows - 1) / kShufflePanelRows;
      const TestArray<float> values(scores), thresholds(scores.size());
      const TestArray<int32_t> chosen(members);
      const TestArray<double> masses(static_cast<size_t>(groups * panels));
      ASSERT_TRUE(launched(test_backend().shuffle->group_thresholds(
          {values.data(), thresholds.data(), chosen.data(), masses.data(), rows, groups, pattern.kept, pattern.group},
          test_stream())));
      const auto got = thresholds.values();
      const auto got_masses = masses.values();
      std::vector<double> expected(got_masses.size());
      for (int g = 0; g < groups; ++g)
        for (int64_t row = 0; row < rows; ++row) {
          std::vector<float> sorted;
          for (int k = 0; k < pattern.group; ++k) sorted.push_back(scores[members[g * pattern.group + k] * rows + row]);
          for (int k = 0; k < pattern.group; ++k) {
            std::vector<float> others = sorted;
            others.erase(others.begin() + k);
            std::ranges::sort(others, std::greater());
            ASSERT_EQ(got[members[g * pattern.group + k] * rows + row], others[pattern.kept - 1]) << g << " " << row;
          }
          std::ranges::sort(sorted, std::greater());
          for (int n = 0; n < pattern.kept; ++n) expected[g * panels + row / kShufflePanelRows] += sorted[n];
        }
      EXPECT_EQ(got_masses, expected);
    }
}

TEST(CudaShuffle, SumsOfMaximaOfEveryPair) {
  for (const int channels : {1, 32, 45})
    for (const int64_t rows : {32, 256, 544}) {
      const auto scores = random_scores(channels, rows, 3), limits = random_scores(channels, rows, 4);
      std::vector<int32_t> from;
      for (int c = channels - 1; c >= 0; c -= channels > 40 ? 1 : 2) from.push_back(c);
      const int count = static_cast<int>(from.size());
      const int64_t panels = (rows + kShufflePanelRows - 1) / kShufflePanelRows;
      const TestArray<float> values(scores), thresholds(limits),
          partial(static_cast<size_t>(panels * count * channels));
      const TestArray<int32_t> chosen(from);
      const TestArray<double> sums(static_cast<size_t>(count * channels));
      ASSERT_TRUE(launched(test_backend().shuffle->sums_of_max(
          {values.data(), thresholds.data(), chosen.data(), partial.data(), sums.data(), rows, count, channels},
          test_stream())));
      const auto got = sums.values();
      for (int i = 0; i < count; ++i)
        for (int d = 0; d < channels; ++d) {
          double expected = 0;
          for (int64_t row = 0; row < rows; ++row)
            expected += std::max(scores[d * rows + row], limits[from[i] * rows + row]);
          ASSERT_EQ(got[i * channels + d], expected) << i << " " << d;
        }
    }
}

}  // namespace
}  // namespace esparse::cuda

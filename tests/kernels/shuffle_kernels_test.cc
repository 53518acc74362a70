#include "kernels/shuffle_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

namespace esparse {
namespace {

// Scores of very different sizes, with zeros of both signs, subnormals and many equal ones.
std::vector<float> random_scores(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> scores(count);
  for (float& score : scores) {
    const unsigned kind = random() % 16;
    score = std::ldexp(static_cast<float>(random() % 4096), static_cast<int>(random() % 30) - 20);
    if (kind == 0) score = 0.0f;
    if (kind == 1) score = -0.0f;
    if (kind == 2) score = 1e-42f;
    if (kind < 6 && kind > 2) score = 1.0f;
  }
  return scores;
}

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// [t_count, x_count] sums, on top of what stands there already; misaligned by one float.
std::vector<double> sums_of(const ShuffleKernels& kernels, const std::vector<float>& t, int64_t t_count,
                            const std::vector<float>& x, int64_t x_count, int64_t rows) {
  std::vector<float> t_shifted(t.size() + 1), x_shifted(x.size() + 1);
  std::ranges::copy(t, t_shifted.begin() + 1);
  std::ranges::copy(x, x_shifted.begin() + 1);
  std::vector<double> sums(t_count * x_count, 0.25);
  std::vector<const float*> thresholds;
  std::vector<double*> targets;
  for (int64_t i = 0; i < t_count; ++i) {
    thresholds.push_back(t_shifted.data() + 1 + i * rows);
    targets.push_back(sums.data() + i * x_count);
  }
  kernels.add_sums_of_max(thresholds.data(), t_count, x_shifted.data() + 1, x_count, rows, targets.data());
  return sums;
}

// Every remainder of the tiles. Exact size vectors, so that the address sanitizer sees a step beyond.
TEST(ShuffleKernels, SumsOfMaxEqualTheReferenceAndEachOther) {
  for (int64_t rows : {0, 8, 16, 24, 64, 256})
    for (int64_t t_count = 0; t_count <= 9; ++t_count)
      for (int64_t x_count = 0; x_count <= 5; ++x_count) {
        const auto t = random_scores(t_count * rows, static_cast<unsigned>(rows + t_count));
        const auto x = random_scores(x_count * rows, static_cast<unsigned>(rows + x_count + 1000));
        const auto portable = sums_of(kPortableShuffleKernels, t, t_count, x, x_count, rows);
        for (int64_t i = 0; i < t_count; ++i)
          for (int64_t j = 0; j < x_count; ++j) {
            double expected = 0.25;
            for (int64_t r = 0; r < rows; ++r) expected += std::max<double>(x[j * rows + r], t[i * rows + r]);
            // rows / 8 additions in a lane and three of lanes, each off by half a unit in the last place.
            const double tolerance = (static_cast<double>(rows) / 8 + 3) * 0x1p-24 * expected;
            ASSERT_NEAR(portable[i * x_count + j], expected, tolerance) << rows << " " << t_count << " " << x_count;
          }
        for (const ShuffleKernels* table : usable_tables<ShuffleKernels>())
          ASSERT_TRUE(same_bits(sums_of(*table, t, t_count, x, x_count, rows), portable))
              << table->isa << " " << rows << " rows, " << t_count << " by " << x_count;
      }
}

struct Thresholds {
  std::vector<float> values;
  double mass;
};

Thresholds thresholds_of(const ShuffleKernels& kernels, const std::vector<float>& scores, int kept, int group,
                         int64_t rows) {
  Thresholds result = {std::vector<float>(scores.size() + 8, std::numeric_limits<float>::quiet_NaN()), 0.0};
  std::vector<const float*> members;
  std::vector<float*> targets;
  for (int k = 0; k < group; ++k) {
    members.push_back(scores.data() + k * rows);
    targets.push_back(result.values.data() + k * rows);
  }
  result.mass = kernels.group_thresholds(members.data(), kept, group, rows, targets.data());
  for (size_t i = scores.size(); i < result.values.size(); ++i)
    EXPECT_TRUE(std::isnan(result.values[i])) << "wrote beyond the last channel";
  result.values.resize(scores.size());
  return result;
}

TEST(ShuffleKernels, ThresholdsOfEveryPattern) {
  for (int group = 2; group <= 32; ++group)
    for (int kept = 1; kept < group; ++kept)
      for (int64_t rows : {8, 40}) {
        const auto scores = random_scores(group * rows, static_cast<unsigned>(group * 100 + kept));
        const Thresholds portable = thresholds_of(kPortableShuffleKernels, scores, kept, group, rows);
        double mass = 0.0;
        for (int64_t r = 0; r < rows; ++r) {
          std::vector<float> all;
          for (int k = 0; k < group; ++k) all.push_back(scores[k * rows + r]);
          for (int k = 0; k < group; ++k) {
            std::vector<float> others = all;
            others.erase(others.begin() + k);
            std::ranges::sort(others, std::greater<>());
            ASSERT_EQ(portable.values[k * rows + r], others[kept - 1]) << kept << ":" << group << " row " << r;
          }
          std::ranges::sort(all, std::greater<>());
          for (int n = 0; n < kept; ++n) mass += all[n];
        }
        ASSERT_NEAR(portable.mass, mass, 1e-13 * mass);
        for (const ShuffleKernels* table : usable_tables<ShuffleKernels>()) {
          const Thresholds other = thresholds_of(*table, scores, kept, group, rows);
          ASSERT_TRUE(same_bits(other.values, portable.values)) << table->isa << " " << kept << ":" << group;
          ASSERT_EQ(other.mass, portable.mass) << table->isa << " " << kept << ":" << group;
        }
      }
}

TEST(ShuffleKernels, NoRowsWeighNothing) {
  for (const ShuffleKernels* table : usable_tables<ShuffleKernels>())
    EXPECT_EQ(thresholds_of(*table, {}, 2, 4, 0).mass, 0.0);
}

}  // namespace
}  // namespace esparse

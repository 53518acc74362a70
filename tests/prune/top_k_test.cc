#include "prune/top_k.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "linalg/reference.h"

namespace esparse {
namespace {

// Sorts all entries; stable, so that of equal ones the earlier comes first.
Matrix<uint8_t> sorted_mask(const Matrix<float>& scores, int64_t kept) {
  std::vector<size_t> order(scores.values().size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return std::abs(scores.values()[a]) > std::abs(scores.values()[b]); });
  Matrix<uint8_t> mask(scores.rows(), scores.cols());
  for (int64_t i = 0; i < kept; ++i) mask.values()[order[i]] = 1;
  return mask;
}

Matrix<uint8_t> mask_of(const Matrix<float>& scores, int64_t kept) {
  Matrix<uint8_t> mask(scores.rows(), scores.cols());
  for (uint8_t& value : mask.values()) value = 7;
  keep_largest(scores.view(), kept, mask.view());
  return mask;
}

TEST(KeepLargest, MatchesSortingForEveryCount) {
  const auto scores = random_matrix<float>(9, 13, 1);
  for (int64_t kept = 0; kept <= 9 * 13; ++kept) {
    EXPECT_TRUE(same_bytes(mask_of(scores, kept), sorted_mask(scores, kept))) << kept;
  }
}

TEST(KeepLargest, EqualScoresKeepTheEarlierAcrossPieces) {
  // 70000 entries are several pieces of work; five values make long ties.
  Matrix<float> scores = random_matrix<float>(700, 100, 2);
  for (float& value : scores.values()) value = std::round(value * 2);
  for (const int64_t kept : {0, 1, 999, 14000, 35000, 52501, 69999, 70000})
    EXPECT_TRUE(same_bytes(mask_of(scores, kept), sorted_mask(scores, kept))) << kept;
}

TEST(KeepLargest, OrdersExtremesAndSignlessZeros) {
  Matrix<float> scores(1, 9);
  const float values[] = {0.0f,
                          -0.0f,
                          1e-45f,
                          -std::numeric_limits<float>::infinity(),
                          3e38f,
                          -1e-38f,
                          1.0f,
                          -1.0f,
                          std::nextafter(1.0f, 2.0f)};
  std::copy(std::begin(values), std::end(values), scores.data());
  for (int64_t kept = 0; kept <= 9; ++kept)
    EXPECT_TRUE(same_bytes(mask_of(scores, kept), sorted_mask(scores, kept))) << kept;
}

TEST(KeepLargest, EmptyMatrices) {
  for (const auto& [rows, cols] : {std::pair{0, 5}, {5, 0}, {0, 0}}) {
    Matrix<float> scores(rows, cols);
    Matrix<uint8_t> mask(rows, cols);
    keep_largest(scores.view(), 0, mask.view());
  }
}

TEST(KeepLargest, SameBytesForAllThreadCounts) {
  const auto scores = random_matrix<float>(700, 300, 3);
  expect_same_for_all_thread_counts([&] { return mask_of(scores, 100000); });
}

TEST(KeepLargestOfGroups, WorkedExample) {
  // Groups of 4 at 2:4: |1 3 3 2| keeps the two 3s; |2 2 2 2| the first two; the tail |5 -6| one.
  const std::vector<float> scores = {1, -3, 3, 2, 2, -2, 2, 2, 5, -6};
  std::vector<uint8_t> mask(10, 9);
  keep_largest_of_groups(scores, {2, 4}, mask);
  EXPECT_EQ(mask, (std::vector<uint8_t>{0, 1, 1, 0, 1, 1, 0, 0, 0, 1}));
}

TEST(KeepLargestOfGroups, EveryGroupMatchesSorting) {
  for (const NmPattern pattern : {NmPattern{1, 2}, {2, 4}, {3, 5}, {4, 8}, {1, 32}, {31, 32}}) {
    for (const int64_t columns : {1, 5, 32, 64, 77}) {
      const auto scores = random_matrix<float>(1, columns, 4);
      std::vector<uint8_t> mask(static_cast<size_t>(columns));
      keep_largest_of_groups(scores.row(0), pattern, mask);
      for (int64_t first = 0; first < columns; first += pattern.group) {
        const int64_t count = std::min<int64_t>(pattern.group, columns - first);
        Matrix<float> group(1, count);
        std::copy_n(&scores(0, first), count, group.data());
        const auto expected = sorted_mask(group, pattern.kept_in(count));
        EXPECT_TRUE(std::equal(expected.values().begin(), expected.values().end(), mask.begin() + first));
      }
    }
  }
}

}  // namespace
}  // namespace esparse

#include "prune/mask.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "base/parallel.h"

namespace esparse {
namespace {

std::vector<uint8_t> mask_of(const Matrix<float>& saliency, NmPattern pattern) {
  Matrix<uint8_t> mask(saliency.rows(), saliency.cols());
  std::ranges::fill(mask.values(), uint8_t{9});  // every element must be written
  nm_mask(saliency.view(), pattern, mask.view());
  return {mask.values().begin(), mask.values().end()};
}

std::vector<uint8_t> mask_of_row(const std::vector<float>& row, NmPattern pattern) {
  Matrix<float> saliency(1, static_cast<int64_t>(row.size()));
  std::ranges::copy(row, saliency.values().begin());
  return mask_of(saliency, pattern);
}

// Few different values, so that ties at the cut are frequent.
Matrix<float> random_saliency(int64_t rows, int64_t cols, unsigned values, unsigned seed) {
  std::mt19937 random(seed);
  Matrix<float> saliency(rows, cols);
  for (float& score : saliency.values()) score = static_cast<float>(random() % values);
  return saliency;
}

TEST(Mask, WorkedExamples) {
  EXPECT_EQ(mask_of_row({1, 4, 3, 2, 0, 0, 7, 1}, {2, 4}), (std::vector<uint8_t>{0, 1, 1, 0, 0, 0, 1, 1}));
  EXPECT_EQ(mask_of_row({1, 4, 3, 2}, {1, 4}), (std::vector<uint8_t>{0, 1, 0, 0}));
  EXPECT_EQ(mask_of_row({5, 1, 2}, {2, 3}), (std::vector<uint8_t>{1, 0, 1}));
}

// A tail of two keeps ceil(2 * 2 / 4) = 1, one of three ceil(6 / 4) = 2; three columns of 4:8 keep ceil(12 / 8) = 2.
TEST(Mask, WorkedExamplesOfTails) {
  EXPECT_EQ(mask_of_row({1, 4, 3, 2, 6, 7}, {2, 4}), (std::vector<uint8_t>{0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(mask_of_row({1, 4, 3, 2, 9}, {2, 4}), (std::vector<uint8_t>{0, 1, 1, 0, 1}));
  EXPECT_EQ(mask_of_row({1, 4, 3, 2, 5, 5, 5}, {2, 4}), (std::vector<uint8_t>{0, 1, 1, 0, 1, 1, 0}));
  EXPECT_EQ(mask_of_row({5, 1, 2}, {4, 8}), (std::vector<uint8_t>{1, 0, 1}));
  EXPECT_EQ(mask_of_row({0}, {1, 32}), (std::vector<uint8_t>{1}));
}

TEST(Mask, TiesKeepTheLowerColumn) {
  EXPECT_EQ(mask_of_row({0, 0, 0, 0}, {2, 4}), (std::vector<uint8_t>{1, 1, 0, 0}));
  EXPECT_EQ(mask_of_row({1, 2, 2, 2}, {2, 4}), (std::vector<uint8_t>{0, 1, 1, 0}));
  EXPECT_EQ(mask_of_row({2, 1, 1, 3}, {3, 4}), (std::vector<uint8_t>{1, 1, 0, 1}));
  EXPECT_EQ(mask_of_row({0.0f, -0.0f, 0.0f, -0.0f}, {1, 4}), (std::vector<uint8_t>{1, 0, 0, 0}));
}

// Rank k of a group of `width` is kept when k others are less than the share N / M of it.
void check_against_sorting(const Matrix<float>& saliency, NmPattern pattern) {
  const std::vector<uint8_t> mask = mask_of(saliency, pattern);
  for (int64_t row = 0; row < saliency.rows(); ++row)
    for (int64_t first = 0; first < saliency.cols(); first += pattern.group) {
      const auto width = static_cast<int>(std::min<int64_t>(pattern.group, saliency.cols() - first));
      const float* scores = &saliency(row, first);
      std::vector<int> ranked(width);
      for (int k = 0; k < width; ++k) ranked[k] = k;
      std::ranges::stable_sort(ranked, [&](int a, int b) { return scores[a] > scores[b]; });
      for (int k = 0; k < width; ++k)
        ASSERT_EQ(mask[row * saliency.cols() + first + ranked[k]], k * pattern.group < pattern.kept * width)
            << pattern.text() << " of " << saliency.cols();
    }
}

TEST(Mask, KeepsTheLargestOfEveryGroup) {
  for (const NmPattern pattern :
       {NmPattern{1, 2}, {1, 4}, {2, 4}, {3, 4}, {4, 8}, {6, 8}, {5, 7}, {8, 16}, {16, 32}, {31, 32}}) {
    for (unsigned values : {3u, 1000u})
      for (int64_t cols = 1; cols <= 3 * pattern.group; ++cols)
        check_against_sorting(random_saliency(70, cols, values, values), pattern);
  }
}

TEST(Mask, MaskingTwiceChangesNothing) {
  Matrix<float> saliency = random_saliency(40, 64, 50, 1);
  for (float& score : saliency.values()) score += 1.0f;
  const auto mask = mask_of(saliency, {2, 4});
  for (size_t k = 0; k < mask.size(); ++k) saliency.values()[k] *= mask[k];
  EXPECT_EQ(mask_of(saliency, {2, 4}), mask);
  EXPECT_EQ(mask_of(saliency, {4, 8}), mask);  // a 2:4 mask is a 4:8 mask too
}

TEST(Mask, RowsAreIndependent) {
  const Matrix<float> saliency = random_saliency(10, 32, 20, 2);
  Matrix<float> reversed(10, 32);
  for (int64_t row = 0; row < 10; ++row) std::ranges::copy(saliency.row(row), reversed.row(9 - row).begin());
  const auto mask = mask_of(saliency, {2, 4});
  const auto reversed_mask = mask_of(reversed, {2, 4});
  for (int64_t k = 0; k < 320; ++k) EXPECT_EQ(mask[k], reversed_mask[(9 - k / 32) * 32 + k % 32]);
}

TEST(Mask, SameForAnyThreadCountAndStride) {
  const Matrix<float> saliency = random_saliency(300, 32, 20, 3);
  set_thread_count(1);
  const auto one = mask_of(saliency, {4, 8});
  set_thread_count(2);
  EXPECT_EQ(mask_of(saliency, {4, 8}), one);
  set_thread_count(0);
  // Columns 8..23 of a wider matrix, then those without the last one: only the group that becomes shorter may change.
  for (int64_t width : {16, 15}) {
    Matrix<uint8_t> mask(300, 32);
    nm_mask(saliency.view().cols_from(8, width), {4, 8}, mask.view().cols_from(8, width));
    for (int64_t row = 0; row < 300; ++row) {
      for (int64_t j = 0; j < 8 + width / 8 * 8; ++j) ASSERT_EQ(mask(row, j), j >= 8 ? one[row * 32 + j] : 0);
      for (int64_t j = 8 + width; j < 32; ++j) ASSERT_EQ(mask(row, j), 0) << "wrote beyond the columns";
    }
  }
}

}  // namespace
}  // namespace esparse

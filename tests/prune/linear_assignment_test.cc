#include "prune/linear_assignment.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

namespace esparse {
namespace {

double sum_of(const Matrix<double>& value, const std::vector<int32_t>& assignment) {
  double sum = 0.0;
  for (int64_t row = 0; row < value.rows(); ++row) sum += value(row, assignment[row]);
  return sum;
}

double best_of_all_permutations(const Matrix<double>& value) {
  std::vector<int32_t> permutation(value.rows());
  std::iota(permutation.begin(), permutation.end(), 0);
  double best = sum_of(value, permutation);
  while (std::ranges::next_permutation(permutation).found) best = std::max(best, sum_of(value, permutation));
  return best;
}

void expect_permutation(std::vector<int32_t> assignment, int64_t size) {
  std::ranges::sort(assignment);
  std::vector<int32_t> all(size);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(assignment, all);
}

// 3 1 2     Best of the six: 3 + 4 + 1 = 8 by columns 0, 2, 1. Row 1 and row 2 both like column 0 most, and taking
// 5 1 4     the largest values first (6, 4, 1) gives 6 + 4 + 1 = 11: columns 1, 2, 0.
// 6 1 5     Columns 1, 0, 2: 1 + 5 + 5 = 11 as well; 0, 2, 1: 3 + 4 + 1 = 8; 2, 1, 0: 2 + 1 + 6 = 9.
TEST(LinearAssignment, WorkedExample) {
  Matrix<double> value(3, 3);
  std::ranges::copy(std::vector<double>{3, 1, 2, 5, 1, 4, 6, 1, 5}, value.values().begin());
  EXPECT_EQ(best_of_all_permutations(value), 11.0);
  EXPECT_EQ(sum_of(value, maximal_assignment(value.view())), 11.0);
}

// Whole numbers in a narrow range have many equal choices, wide ones few; both signs.
TEST(LinearAssignment, EqualsTheBestOfAllPermutations) {
  std::mt19937 random(1);
  for (int64_t size = 1; size <= 7; ++size) {
    for (uint32_t range : {1u, 2u, 5u, 1000u, 1000000u}) {
      for (int repetition = 0; repetition < 20; ++repetition) {
        Matrix<double> value(size, size);
        for (double& entry : value.values())
          entry = static_cast<double>(random() % range) - static_cast<double>(range / 2);
        const auto assignment = maximal_assignment(value.view());
        expect_permutation(assignment, size);
        EXPECT_EQ(sum_of(value, assignment), best_of_all_permutations(value)) << size << " " << range;
      }
    }
  }
}

// Products a_i * b_k: the largest sum pairs both in the same order (rearrangement inequality). All rows like the same
// columns best, the hard case. Whole numbers up to 2^20, so that the sums are exact.
TEST(LinearAssignment, ProductsPairInOrder) {
  for (int64_t size : {2, 30, 257}) {
    std::mt19937 random(static_cast<unsigned>(size));
    std::vector<double> a(size), b(size);
    for (auto* factors : {&a, &b})
      for (double& factor : *factors) factor = static_cast<double>(random() % 1024);
    Matrix<double> value(size, size);
    for (int64_t i = 0; i < size; ++i)
      for (int64_t k = 0; k < size; ++k) value(i, k) = a[i] * b[k];
    const auto assignment = maximal_assignment(value.view());
    expect_permutation(assignment, size);
    std::ranges::sort(a);
    std::ranges::sort(b);
    EXPECT_EQ(sum_of(value, assignment), std::inner_product(a.begin(), a.end(), b.begin(), 0.0));
  }
}

// No two rows gain by trading columns, no three by passing theirs on: necessary for any size.
TEST(LinearAssignment, NoCycleOfThreeGains) {
  std::mt19937 random(5);
  std::normal_distribution<double> normal;
  const int64_t size = 60;
  Matrix<double> value(size, size);
  std::vector<double> scale(size);
  for (double& s : scale) s = std::exp(normal(random));
  for (int64_t i = 0; i < size; ++i)
    for (int64_t k = 0; k < size; ++k) value(i, k) = std::hypot(scale[i], scale[k]) * 1e3 + normal(random);
  const auto column = maximal_assignment(value.view());
  expect_permutation(column, size);
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j < size; ++j)
      for (int64_t k = 0; k < size; ++k) {
        if (i == j || j == k) continue;
        // With k = i this is the trade of i and j.
        const double now = value(i, column[i]) + value(j, column[j]) + (k != i ? value(k, column[k]) : 0.0);
        const double then =
            value(i, column[j]) + (k != i ? value(j, column[k]) + value(k, column[i]) : value(j, column[i]));
        ASSERT_LE(then, now + 1e-9) << i << " " << j << " " << k;
      }
}

TEST(LinearAssignment, EqualValuesAndNothing) {
  Matrix<double> value(50, 50);
  expect_permutation(maximal_assignment(value.view()), 50);
  std::ranges::fill(value.values(), -3.5);
  expect_permutation(maximal_assignment(value.view()), 50);
  for (int64_t row = 0; row < 50; ++row) value(row, 7) = 1.0;  // all rows want one column
  expect_permutation(maximal_assignment(value.view()), 50);
  EXPECT_TRUE(maximal_assignment(Matrix<double>(0, 0).view()).empty());
}

}  // namespace
}  // namespace esparse

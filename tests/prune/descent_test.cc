// Group descent against brute force on one group, against its own promises (never worse, same counts, monotone in
// sweeps), and against per-row normal equations on the mask that it leaves.
#include "prune/descent.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "base/parallel.h"
#include "prune/mask.h"

namespace esparse {
namespace {

struct Problem {
  Matrix<float> target, hessian, weight;
  Matrix<uint8_t> mask;
};

// Correlated inputs, weights pruned by size to `pattern`.
Problem make_problem(int64_t rows, int64_t cols, NmPattern pattern, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const int64_t tokens = 2 * cols + 3;
  std::vector<double> inputs(tokens * cols);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t j = 0; j < cols; ++j)
      inputs[t * cols + j] = normal(random) + (j > 0 ? 0.7 * inputs[t * cols + j - 1] : 0.0);
  Problem p{Matrix<float>(rows, cols), Matrix<float>(cols, cols), Matrix<float>(rows, cols),
            Matrix<uint8_t>(rows, cols)};
  for (int64_t i = 0; i < cols; ++i)
    for (int64_t j = 0; j < cols; ++j) {
      double sum = i == j ? 0.01 * static_cast<double>(tokens) : 0.0;
      for (int64_t t = 0; t < tokens; ++t) sum += inputs[t * cols + i] * inputs[t * cols + j];
      p.hessian(i, j) = static_cast<float>(sum);
    }
  Matrix<float> scores(rows, cols);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) {
      p.target(i, j) = static_cast<float>(normal(random));
      scores(i, j) = std::abs(p.target(i, j));
    }
  nm_mask(scores.view(), pattern, p.mask.view());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) p.weight(i, j) = p.mask(i, j) != 0 ? p.target(i, j) : 0.0f;
  return p;
}

double error(const Problem& p, int64_t row, const std::vector<double>& w) {
  double sum = 0;
  for (int64_t i = 0; i < p.target.cols(); ++i)
    for (int64_t j = 0; j < p.target.cols(); ++j)
      sum += (w[i] - p.target(row, i)) * p.hessian(i, j) * (w[j] - p.target(row, j));
  return sum;
}

std::vector<double> row_of(const Matrix<float>& matrix, int64_t row) {
  return {matrix.row(row).begin(), matrix.row(row).end()};
}

// Solves A x = b in double by elimination with pivoting.
std::vector<double> solve(std::vector<std::vector<double>> a, std::vector<double> b) {
  const size_t n = b.size();
  for (size_t p = 0; p < n; ++p) {
    size_t pivot = p;
    for (size_t i = p + 1; i < n; ++i)
      if (std::abs(a[i][p]) > std::abs(a[pivot][p])) pivot = i;
    std::swap(a[p], a[pivot]), std::swap(b[p], b[pivot]);
    for (size_t i = p + 1; i < n; ++i) {
      const double factor = a[i][p] / a[p][p];
      for (size_t j = p; j < n; ++j) a[i][j] -= factor * a[p][j];
      b[i] -= factor * b[p];
    }
  }
  for (size_t p = n; p-- > 0;) {
    for (size_t j = p + 1; j < n; ++j) b[p] -= a[p][j] * b[j];
    b[p] /= a[p][p];
  }
  return b;
}

// The least error that weights on `kept` can reach: the normal equations of the row.
double least_error(const Problem& p, int64_t row, const std::vector<int64_t>& kept) {
  std::vector<std::vector<double>> a(kept.size(), std::vector<double>(kept.size()));
  std::vector<double> b(kept.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    for (size_t j = 0; j < kept.size(); ++j) a[i][j] = p.hessian(kept[i], kept[j]);
    for (int64_t j = 0; j < p.target.cols(); ++j) b[i] += static_cast<double>(p.hessian(kept[i], j)) * p.target(row, j);
  }
  std::vector<double> w(p.target.cols());
  const auto x = solve(a, b);
  for (size_t i = 0; i < kept.size(); ++i) w[kept[i]] = x[i];
  return error(p, row, w);
}

std::vector<int64_t> kept_columns(const Problem& p, int64_t row) {
  std::vector<int64_t> kept;
  for (int64_t j = 0; j < p.mask.cols(); ++j)
    if (p.mask(row, j) != 0) kept.push_back(j);
  return kept;
}

// One group of up to 8 columns is the whole layer: the answer must be the best of all masks.
TEST(GroupDescent, OneGroupIsSolvedExactly) {
  for (const NmPattern pattern :
       {NmPattern{2, 4}, NmPattern{1, 4}, NmPattern{4, 8}, NmPattern{6, 8}, NmPattern{3, 7}}) {
    Problem p = make_problem(70, pattern.group, pattern, 5);
    group_descent(p.target.view(), p.hessian.view(), pattern.group, {}, p.weight.view(), p.mask.view());
    for (int64_t i = 0; i < p.weight.rows(); ++i) {
      double best = INFINITY;
      for (unsigned subset = 0; subset < 1u << pattern.group; ++subset) {
        if (std::popcount(subset) != pattern.kept) continue;
        std::vector<int64_t> kept;
        for (int c = 0; c < pattern.group; ++c)
          if ((subset >> c & 1u) != 0) kept.push_back(c);
        best = std::min(best, least_error(p, i, kept));
      }
      EXPECT_NEAR(error(p, i, row_of(p.weight, i)), best, 1e-4 * best + 1e-4) << pattern.text() << " row " << i;
    }
  }
}

TEST(GroupDescent, NoRowGetsWorseAndGroupsKeepTheirCounts) {
  for (const NmPattern pattern :
       {NmPattern{2, 4}, NmPattern{4, 8}, NmPattern{8, 16}, NmPattern{5, 7}, NmPattern{20, 32}})
    for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{3, 5}, {65, 40}, {130, 172}, {1, 300}}) {
      Problem p = make_problem(rows, cols, pattern, rows + cols);
      const Problem before = p;
      group_descent(p.target.view(), p.hessian.view(), pattern.group, {}, p.weight.view(), p.mask.view());
      double total_before = 0, total = 0;
      for (int64_t i = 0; i < rows; ++i) {
        const double was = error(p, i, row_of(before.weight, i)), is = error(p, i, row_of(p.weight, i));
        EXPECT_LE(is, was * (1 + 1e-5));
        total_before += was, total += is;
        for (int64_t g = 0; g < cols; g += pattern.group) {
          int kept_before = 0, kept = 0;
          for (int64_t j = g; j < std::min<int64_t>(cols, g + pattern.group); ++j) {
            kept_before += before.mask(i, j), kept += p.mask(i, j);
            if (p.mask(i, j) == 0) {
              EXPECT_EQ(p.weight(i, j), 0.0f);
            }
          }
          EXPECT_EQ(kept, kept_before) << pattern.text();
        }
      }
      if (rows * cols > 100) {
        EXPECT_LT(total, 0.8 * total_before) << pattern.text() << " " << rows << " x " << cols;
      }
    }
}

// Behind the border everything is kept: it stays so, groups in front keep their counts, and the error falls below that
// of the same mask with the last columns as they were.
TEST(GroupDescent, ColumnsBehindTheBorderAdapt) {
  for (const NmPattern pattern : {NmPattern{2, 4}, NmPattern{5, 7}, NmPattern{8, 16}})
    for (const int64_t border : {28, 30, 40}) {
      Problem p = make_problem(33, 40, pattern, 17);
      for (int64_t i = 0; i < 33; ++i)
        for (int64_t j = 0; j < 40; ++j) {
          const int64_t first = j / pattern.group * pattern.group;
          const bool kept = j >= border || j - first < pattern.kept;
          p.mask(i, j) = kept;
          p.weight(i, j) = kept ? p.target(i, j) : 0.0f;
        }
      const Problem before = p;
      group_descent(p.target.view(), p.hessian.view(), pattern.group, border, {}, p.weight.view(), p.mask.view());
      double moved = 0;
      for (int64_t i = 0; i < 33; ++i) {
        EXPECT_LE(error(p, i, row_of(p.weight, i)), error(p, i, row_of(before.weight, i)) * (1 + 1e-5));
        for (int64_t j = border; j < 40; ++j) {
          EXPECT_EQ(p.mask(i, j), 1);
          moved += std::abs(p.weight(i, j) - before.weight(i, j));
        }
        for (int64_t g = 0; g < border; g += pattern.group) {
          int kept_before = 0, kept = 0;
          for (int64_t j = g; j < std::min<int64_t>(border, g + pattern.group); ++j)
            kept_before += before.mask(i, j), kept += p.mask(i, j);
          EXPECT_EQ(kept, kept_before) << pattern.text() << " border " << border;
        }
      }
      if (border < 40) {
        EXPECT_GT(moved, 0);
      }
      // To the end: the values are the least squares of the mask, dense columns among them.
      group_descent(p.target.view(), p.hessian.view(), pattern.group, border, {.max_sweeps = 2000, .tolerance = 0},
                    p.weight.view(), p.mask.view());
      for (int64_t i = 0; i < 33; ++i) {
        const double least = least_error(p, i, kept_columns(p, i));
        EXPECT_NEAR(error(p, i, row_of(p.weight, i)), least, 2e-3 * least) << pattern.text() << " border " << border;
      }
    }
}

// Run to the end, the values are the least-squares solution on the mask found.
TEST(GroupDescent, ValuesAreOptimalOnTheirMask) {
  Problem p = make_problem(9, 48, {2, 4}, 11);
  group_descent(p.target.view(), p.hessian.view(), 4, {.max_sweeps = 2000, .tolerance = 0}, p.weight.view(),
                p.mask.view());
  for (int64_t i = 0; i < p.weight.rows(); ++i) {
    const double least = least_error(p, i, kept_columns(p, i));
    EXPECT_NEAR(error(p, i, row_of(p.weight, i)), least, 2e-3 * least);
  }
}

TEST(GroupDescent, SameBytesForAnyThreadCount) {
  Matrix<float> first;
  for (int threads : {1, 2, 4}) {
    set_thread_count(threads);
    Problem p = make_problem(200, 96, {4, 8}, 3);
    group_descent(p.target.view(), p.hessian.view(), 8, {}, p.weight.view(), p.mask.view());
    if (threads == 1) first = p.weight;
    EXPECT_TRUE(std::ranges::equal(first.values(), p.weight.values())) << threads;
  }
  set_thread_count(0);
}

// H of a layer whose inputs are all zero, damped by nothing: no subset can be inverted, nothing changes.
TEST(GroupDescent, SingularHessianChangesNothing) {
  Problem p = make_problem(4, 8, {2, 4}, 1);
  p.hessian = Matrix<float>(8, 8);
  const Problem before = p;
  group_descent(p.target.view(), p.hessian.view(), 4, {}, p.weight.view(), p.mask.view());
  EXPECT_TRUE(std::ranges::equal(before.weight.values(), p.weight.values()));
  EXPECT_TRUE(std::ranges::equal(before.mask.values(), p.mask.values()));
}

}  // namespace
}  // namespace esparse

#include "prune/masked_solve.h"

#include <limits>

#include <gtest/gtest.h>

#include "linalg/reference.h"

namespace esparse {
namespace {

struct Problem {
  Matrix<float> gram, dense, target, start;
  Matrix<double> h;
  Matrix<uint8_t> mask;
  double ridge = 0;
};

Problem make_problem(int64_t rows, int64_t channels, uint64_t seed) {
  Problem p;
  p.gram = gram_of(correlated_inputs(2 * channels, channels, seed));
  p.ridge = 0.01 * p.gram(0, 0);
  p.h = widened(p.gram);
  for (int64_t i = 0; i < channels; ++i) p.h(i, i) += p.ridge;
  p.dense = random_matrix<float>(rows, channels, seed + 1);
  const Matrix<double> target = product(p.dense, p.h);
  p.target = Matrix<float>(rows, channels);
  for (size_t i = 0; i < target.values().size(); ++i) p.target.values()[i] = static_cast<float>(target.values()[i]);
  p.mask = Matrix<uint8_t>(rows, channels);
  p.start = p.dense;
  const auto random = random_matrix<float>(rows, channels, seed + 2);
  for (size_t i = 0; i < p.mask.values().size(); ++i) p.mask.values()[i] = random.values()[i] > 0;
  return p;
}

Matrix<float> inside(const Problem& p, Matrix<float> weight) {
  for (size_t i = 0; i < weight.values().size(); ++i)
    if (p.mask.values()[i] == 0) weight.values()[i] = 0;
  return weight;
}

// The normal equations of each row: H restricted to its kept columns.
Matrix<double> exact(const Problem& p) {
  Matrix<double> best(p.dense.rows(), p.dense.cols());
  for (int64_t i = 0; i < best.rows(); ++i) {
    std::vector<int64_t> kept;
    for (int64_t j = 0; j < best.cols(); ++j)
      if (p.mask(i, j) != 0) kept.push_back(j);
    const auto count = static_cast<int64_t>(kept.size());
    Matrix<double> h(count, count);
    for (int64_t a = 0; a < count; ++a)
      for (int64_t b = 0; b < count; ++b) h(a, b) = p.h(kept[a], kept[b]);
    const Matrix<double> inverse_h = inverse(h);
    for (int64_t a = 0; a < count; ++a)
      for (int64_t b = 0; b < count; ++b) best(i, kept[a]) += inverse_h(a, b) * p.target(i, kept[b]);
  }
  return best;
}

double row_error(const Problem& p, const Matrix<float>& weight, int64_t row) {
  Matrix<double> w(1, weight.cols()), d(1, weight.cols());
  for (int64_t j = 0; j < weight.cols(); ++j) w(0, j) = weight(row, j), d(0, j) = p.dense(row, j);
  return squared_error(w, d, p.h);
}

TEST(MaskedSolve, ReachesTheNormalEquations) {
  for (const auto& [rows, channels] : {std::pair{1, 1}, {3, 2}, {5, 33}, {129, 40}, {20, 130}}) {
    const Problem p = make_problem(rows, channels, 3);
    Matrix<float> weight = p.start;
    const auto result = masked_solve(p.gram.view(), p.target.view(), p.mask.view(), weight.view(),
                                     {.ridge = p.ridge, .max_iterations = 500, .rtol = 1e-6});
    EXPECT_LT(result.iterations, 500);
    EXPECT_TRUE(same_bytes(weight, inside(p, weight)));
    const Matrix<double> best = exact(p);
    // The objective above its minimum is r H^-1 r^T for the residual r, here below (1e-6 + f32 rounding) |t|; it is
    // quadratic in that, and H^-1 is bounded by 1 / ridge.
    double target_squares = 0;
    for (const float t : p.target.values()) target_squares += static_cast<double>(t) * t;
    const double residual = 4e-6;
    EXPECT_LE(squared_error(weight, best, p.h), residual * residual * target_squares / p.ridge)
        << rows << " " << channels;
    const double before = squared_error(inside(p, p.start), p.dense, p.h);
    EXPECT_NEAR(result.decrease, before - squared_error(weight, p.dense, p.h), 1e-4 * before);
  }
}

TEST(MaskedSolve, EveryIterationLowersEveryRow) {
  const Problem p = make_problem(30, 60, 8);
  Matrix<float> previous = inside(p, p.start);
  for (int iterations = 1; iterations < 12; ++iterations) {
    Matrix<float> weight = p.start;
    const auto result = masked_solve(p.gram.view(), p.target.view(), p.mask.view(), weight.view(),
                                     {.ridge = p.ridge, .max_iterations = iterations, .rtol = 0});
    EXPECT_EQ(result.iterations, iterations);
    for (int64_t i = 0; i < 30; ++i) EXPECT_LT(row_error(p, weight, i), row_error(p, previous, i)) << i;
    previous = weight;
  }
}

TEST(MaskedSolve, RowThatCannotImproveKeepsItsBytes) {
  // From the optimum, a few more steps are rounding noise: whatever they do, no row may get worse.
  Problem p = make_problem(40, 50, 4);
  const Matrix<double> best = exact(p);
  Matrix<float> start(40, 50);
  for (size_t i = 0; i < start.values().size(); ++i) start.values()[i] = static_cast<float>(best.values()[i]);
  Matrix<float> weight = start;
  masked_solve(p.gram.view(), p.target.view(), p.mask.view(), weight.view(),
               {.ridge = p.ridge, .max_iterations = 50, .rtol = 0});
  for (int64_t i = 0; i < 40; ++i) {
    const double from = row_error(p, start, i);
    // The gain is measured with products in f32.
    EXPECT_LE(row_error(p, weight, i), from * (1 + 1e-6)) << i;
  }
  // An indefinite matrix makes the step of steepest descent climb: along (1, -1) the curvature is 1 - 3 < 0.
  Matrix<float> gram(2, 2), target(1, 2), wrong(1, 2);
  gram(0, 0) = gram(1, 1) = 1, gram(0, 1) = gram(1, 0) = 3;
  target(0, 0) = 1, target(0, 1) = -1;
  Matrix<uint8_t> mask(1, 2);
  mask(0, 0) = mask(0, 1) = 1;
  masked_solve(gram.view(), target.view(), mask.view(), wrong.view());
  EXPECT_EQ(wrong(0, 0), 0);
  EXPECT_EQ(wrong(0, 1), 0);
}

TEST(MaskedSolve, FullMaskGivesTheDenseWeightsBack) {
  Problem p = make_problem(6, 30, 5);
  for (uint8_t& value : p.mask.values()) value = 1;
  Matrix<float> weight(6, 30);
  masked_solve(p.gram.view(), p.target.view(), p.mask.view(), weight.view(),
               {.ridge = p.ridge, .max_iterations = 400, .rtol = 1e-6});
  EXPECT_LE(distance(weight, p.dense), 1e-2);
  EXPECT_LE(squared_error(weight, p.dense, p.h), 1e-6 * squared_error(Matrix<float>(6, 30), p.dense, p.h));
}

TEST(MaskedSolve, EmptyMaskAndDeadChannelsAreHarmless) {
  Problem p = make_problem(4, 10, 6);
  for (int64_t k = 0; k < 10; ++k) p.gram(3, k) = p.gram(k, 3) = 0;
  for (int64_t i = 0; i < 4; ++i) p.target(i, 3) = 0, p.start(i, 3) = 2;
  for (int64_t j = 0; j < 10; ++j) p.mask(1, j) = 0;
  for (int64_t i = 0; i < 4; ++i)
    if (i != 1) p.mask(i, 3) = 1;
  Matrix<float> weight = p.start;
  masked_solve(p.gram.view(), p.target.view(), p.mask.view(), weight.view(), {.max_iterations = 100});
  for (int64_t j = 0; j < 10; ++j) EXPECT_EQ(weight(1, j), 0);
  EXPECT_EQ(weight(0, 3), 2);
  EXPECT_TRUE(std::isfinite(largest(weight)));
}

TEST(MaskedSolve, SameBytesForAllThreadCounts) {
  const Problem p = make_problem(300, 70, 7);
  expect_same_for_all_thread_counts([&] {
    Matrix<float> weight = p.start;
    masked_solve(p.gram.view(), p.target.view(), p.mask.view(), weight.view(), {.ridge = p.ridge});
    return weight;
  });
}

}  // namespace
}  // namespace esparse

#include "linalg/inverse_factor.h"

#include <limits>

#include <gtest/gtest.h>

#include "linalg/reference.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

Matrix<float> upper_half(Matrix<float> gram, float below) {
  for (int64_t i = 0; i < gram.rows(); ++i)
    for (int64_t j = 0; j < i; ++j) gram(i, j) = below;
  return gram;
}

// U^T U against the inverse; U is rounded to f32 once, so a product of `size` terms of it may be off by about
// 2 eps * |U|^T |U|, and |U^T| |U| is at most the largest diagonal entry of the inverse.
void check_factor(const Matrix<float>& u, const Matrix<double>& h) {
  for (int64_t i = 0; i < u.rows(); ++i)
    for (int64_t j = 0; j < i; ++j) ASSERT_EQ(u(i, j), 0) << i << "," << j;
  const Matrix<double> expected = inverse(h);
  EXPECT_LE(distance(product(transposed(u), u), expected), 2 * kEpsilon * largest(expected));
}

TEST(InverseFactor, SquareOfTheFactorIsTheInverse) {
  for (const int64_t size : {1, 2, 31, 33, 256, 300}) {
    const Matrix<float> gram = gram_of(correlated_inputs(2 * size, size, 3));
    for (const double damping : {0.001, 0.01, 1.0}) {
      // The lower half must not be read.
      auto u = inverse_cholesky_upper(upper_half(gram, std::numeric_limits<float>::quiet_NaN()), damping);
      ASSERT_OK(u);
      check_factor(*u, damped(gram, damping));
    }
  }
}

TEST(InverseFactor, WorkedExample) {
  // H = [4 2; 2 2] has the inverse [0.5 -0.5; -0.5 1] = U^T U with U = [sqrt(1/2) -sqrt(1/2); 0 sqrt(1/2)].
  Matrix<float> gram(2, 2);
  gram(0, 0) = 4, gram(0, 1) = gram(1, 0) = 2, gram(1, 1) = 2;
  const auto u = inverse_cholesky_upper(gram, 0);
  ASSERT_OK(u);
  const double root = std::sqrt(0.5);
  EXPECT_NEAR((*u)(0, 0), root, kEpsilon);
  EXPECT_NEAR((*u)(0, 1), -root, kEpsilon);
  EXPECT_EQ((*u)(1, 0), 0);
  EXPECT_NEAR((*u)(1, 1), root, kEpsilon);
  EXPECT_EQ(mean_diagonal(gram.view()), 3);
}

TEST(InverseFactor, DeadChannelsCountNowhere) {
  Matrix<float> x = correlated_inputs(60, 20, 4);
  for (int64_t t = 0; t < 60; ++t) x(t, 0) = x(t, 7) = x(t, 19) = 0;
  const Matrix<float> gram = gram_of(x);
  double mean = 0;
  for (int64_t i = 0; i < 20; ++i) mean += gram(i, i) / 17.0;
  EXPECT_NEAR(mean_diagonal(gram.view()), mean, 1e-6 * mean);
  const auto u = inverse_cholesky_upper(gram, 0.01);
  ASSERT_OK(u);
  check_factor(*u, damped(gram, 0.01));
  for (int64_t j = 0; j < 20; ++j) {
    if (j != 7) {
      EXPECT_EQ((*u)(std::min<int64_t>(7, j), std::max<int64_t>(7, j)), 0);
    }
  }
  Matrix<float> all_dead(3, 3);
  const auto identity = inverse_cholesky_upper(all_dead, 0.01);
  ASSERT_OK(identity);
  EXPECT_EQ((*identity)(0, 0), 1);
  EXPECT_EQ(mean_diagonal(all_dead.view()), 0);
}

// Two equal channels: no inverse.
Matrix<float> singular_gram() {
  Matrix<float> gram(3, 3);
  gram(0, 0) = 1;
  gram(1, 1) = gram(1, 2) = gram(2, 1) = gram(2, 2) = 2;
  return gram;
}

TEST(InverseFactor, SingularGramIsANumericFailure) {
  EXPECT_FAILURE(inverse_cholesky_upper(singular_gram(), 0), StatusKind::numeric, "damping 0");
  EXPECT_OK(inverse_cholesky_upper(singular_gram(), 0.01));
}

TEST(InverseFactor, PivotsOfRoundingNoiseAreFailures) {
  // Eight equal channels. A damping of one unit in the last place of a double leaves every pivot but the first at
  // about that: positive, and nothing but noise.
  Matrix<float> gram(8, 8);
  for (float& value : gram.values()) value = 1;
  EXPECT_FAILURE(inverse_cholesky_upper(gram, 3e-16), StatusKind::numeric, "channel 6 depends on");
  EXPECT_OK(inverse_cholesky_upper(gram, 1e-12));
}

TEST(InverseFactor, LadderReturnsTheDampingThatWorked) {
  // Diagonal 1, 1 with correlation r > 1 is indefinite; damping d makes it definite when 1 + d > r.
  const auto with_correlation = [](float r) {
    Matrix<float> gram(2, 2);
    gram(0, 0) = gram(1, 1) = 1;
    gram(0, 1) = gram(1, 0) = r;
    return gram;
  };
  struct Case {
    float correlation;
    double first, expected;
  };
  for (const Case c : {Case{0.5f, 0.01, 0.01}, Case{1.05f, 0.01, 0.1}, Case{1.5f, 0.01, 1.0}, Case{1.5f, 1e-9, 1.0},
                       Case{1.00005f, 0.0, 1e-4}, Case{1.0005f, 1e-5, 1e-3}}) {
    const auto factor = inverse_cholesky_upper_ladder(with_correlation(c.correlation), c.first);
    ASSERT_OK(factor);
    EXPECT_NEAR(factor->damping, c.expected, 1e-12);
    Matrix<double> h = damped(with_correlation(c.correlation), factor->damping);
    check_factor(factor->u, h);
  }
  EXPECT_FAILURE(inverse_cholesky_upper_ladder(with_correlation(2.5f), 0.01), StatusKind::numeric, "damping 1");
}

TEST(InverseFactor, Refusals) {
  Matrix<float> gram = gram_of(correlated_inputs(20, 6, 1));
  EXPECT_FAILURE(inverse_cholesky_upper(gram, -0.1), StatusKind::invalid_argument, "damping");
  EXPECT_FAILURE(inverse_cholesky_upper(gram, std::nan("")), StatusKind::invalid_argument, "damping");
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    gram(2, 4) = bad;
    EXPECT_FAILURE(inverse_cholesky_upper(gram, 0.01), StatusKind::numeric, "not finite");
    EXPECT_FAILURE(inverse_cholesky_upper_ladder(gram, 0.01), StatusKind::numeric, "not finite");
    Matrix<float> b(1, 6);
    EXPECT_FAILURE(solve_gram_right(gram.view(), 0.01, b.view()), StatusKind::numeric, "not finite");
  }
}

TEST(InverseFactor, SameBytesForAllThreadCounts) {
  const Matrix<float> gram = gram_of(correlated_inputs(300, 600, 3));
  expect_same_for_all_thread_counts([&] {
    auto u = inverse_cholesky_upper(gram, 0.01);
    EXPECT_OK(u);
    return std::move(u).value();
  });
}

TEST(SolveGramRight, SolutionTimesGramIsTheRightSide) {
  for (const int64_t rows : {1, 3, 65, 130}) {
    const Matrix<float> gram = gram_of(correlated_inputs(80, 70, 9));
    const auto right_side = random_matrix<float>(rows, 70, 2);
    Matrix<float> x = right_side;
    ASSERT_OK(solve_gram_right(upper_half(gram, std::nanf("")).view(), 0.01, x.view()));
    // x is rounded to f32 once: its error is eps |x| / 2 per entry.
    const Matrix<double> expected = product(right_side, inverse(damped(gram, 0.01)));
    EXPECT_LE(distance(x, expected), kEpsilon * largest(expected)) << rows;
  }
}

TEST(SolveGramRight, LeavesTheRightSideWhenItFails) {
  const auto right_side = random_matrix<float>(4, 3, 2);
  Matrix<float> x = right_side;
  EXPECT_FAILURE(solve_gram_right(singular_gram().view(), 0, x.view()), StatusKind::numeric, "damping 0");
  EXPECT_TRUE(same_bytes(x, right_side));
}

}  // namespace
}  // namespace esparse

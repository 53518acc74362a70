#include "linalg/gemm.h"

#include <limits>

#include <gtest/gtest.h>

#include "linalg/gram.h"
#include "linalg/reference.h"

namespace esparse {
namespace {

struct Shape {
  int64_t rows, cols, depth;
};
// Around the sides of tiles, single rows and columns, nothing to add.
constexpr Shape kShapes[] = {{1, 1, 1},      {1, 300, 7},    {129, 1, 40},    {3, 5, 0},
                             {127, 129, 33}, {256, 257, 64}, {1500, 1100, 3}, {600, 3000, 2}};

// |sum of depth products of numbers below 1| in precision eps, twice for the order of additions.
template <typename T>
double tolerance(int64_t depth) {
  return 2.0 * std::numeric_limits<T>::epsilon() * static_cast<double>(depth + 2);
}

template <typename T>
void check_gemm(Op op_a, Op op_b, Shape shape) {
  const auto a = random_matrix<T>(shape.rows, shape.depth, 1), b = random_matrix<T>(shape.depth, shape.cols, 2);
  auto c = random_matrix<T>(shape.rows, shape.cols, 3);
  Matrix<double> expected = product(a, b);
  for (size_t i = 0; i < expected.values().size(); ++i)
    expected.values()[i] = -0.5 * expected.values()[i] + 2.0 * c.values()[i];
  const auto stored_a = op_a == Op::none ? a : transposed(a), stored_b = op_b == Op::none ? b : transposed(b);
  gemm(op_a, op_b, T(-0.5), stored_a.view(), stored_b.view(), T(2), c.view());
  EXPECT_LE(distance(c, expected), tolerance<T>(shape.depth)) << shape.rows << "x" << shape.cols << "x" << shape.depth;
}

TEST(Gemm, MatchesPlainLoops) {
  for (const Shape shape : kShapes) {
    for (const Op op_a : {Op::none, Op::transpose}) {
      for (const Op op_b : {Op::none, Op::transpose}) {
        check_gemm<float>(op_a, op_b, shape);
        check_gemm<double>(op_a, op_b, shape);
      }
    }
  }
}

TEST(Gemm, BetaZeroDoesNotReadTheOldValues) {
  const auto a = random_matrix<float>(70, 20, 1), b = random_matrix<float>(20, 150, 2);
  Matrix<float> c(70, 150);
  for (float& value : c.values()) value = std::numeric_limits<float>::quiet_NaN();
  gemm(Op::none, Op::none, 1.0f, a.view(), b.view(), 0.0f, c.view());
  EXPECT_LE(distance(c, product(a, b)), tolerance<float>(20));
}

TEST(Gemm, StridedViewsLeaveTheirSurroundingsAlone) {
  auto whole = random_matrix<float>(40, 50, 4);
  const Matrix<float> before = whole;
  const auto a = random_matrix<float>(10, 6, 1), b = random_matrix<float>(6, 20, 2);
  gemm(Op::none, Op::none, 1.0f, a.view(), b.view(), 0.0f, whole.view().rows_from(5, 10).cols_from(7, 20));
  const Matrix<double> expected = product(a, b);
  for (int64_t i = 0; i < 40; ++i) {
    for (int64_t j = 0; j < 50; ++j) {
      const bool inside = i >= 5 && i < 15 && j >= 7 && j < 27;
      EXPECT_NEAR(whole(i, j), inside ? expected(i - 5, j - 7) : before(i, j), inside ? tolerance<float>(6) : 0);
    }
  }
}

TEST(Gemm, SameBytesForAllThreadCounts) {
  const auto a = random_matrix<float>(700, 333, 1), b = random_matrix<float>(333, 900, 2);
  expect_same_for_all_thread_counts([&] {
    Matrix<float> c(700, 900);
    gemm(Op::none, Op::none, 1.0f, a.view(), b.view(), 0.0f, c.view());
    return c;
  });
}

TEST(Gram, UpperHalfMatchesPlainLoopsAndAccumulates) {
  for (const int64_t channels : {1, 2, 127, 129, 700}) {
    const auto x = random_matrix<float>(37, channels, 5), y = random_matrix<float>(11, channels, 6);
    Matrix<float> gram(channels, channels);
    for (int64_t i = 0; i < channels; ++i)
      for (int64_t j = 0; j < i; ++j) gram(i, j) = 99.0f;  // below the diagonal: must stay
    add_gram(x.view(), gram.view());
    add_gram(y.view(), gram.view());
    Matrix<double> expected = product(transposed(x), x);
    const Matrix<double> second = product(transposed(y), y);
    for (size_t i = 0; i < expected.values().size(); ++i) expected.values()[i] += second.values()[i];
    for (int64_t i = 0; i < channels; ++i)
      for (int64_t j = 0; j < channels; ++j)
        ASSERT_NEAR(gram(i, j), j < i ? 99.0 : expected(i, j), j < i ? 0 : tolerance<float>(48)) << i << "," << j;
    mirror_upper(gram.view());
    EXPECT_LE(distance(gram, expected), tolerance<float>(48)) << channels;
    EXPECT_TRUE(same_bytes(gram, transposed(gram)));
  }
}

TEST(Gram, NoTokensAddNothing) {
  Matrix<float> gram(5, 5), x(0, 5);
  add_gram(x.view(), gram.view());
  EXPECT_EQ(largest(gram), 0);
}

TEST(Gram, CrossMatchesPlainLoops) {
  const auto a = random_matrix<float>(45, 130, 1), b = random_matrix<float>(45, 70, 2);
  auto c = random_matrix<float>(130, 70, 3);
  Matrix<double> expected = product(transposed(a), b);
  for (size_t i = 0; i < expected.values().size(); ++i) expected.values()[i] += c.values()[i];
  add_cross(a.view(), b.view(), c.view());
  EXPECT_LE(distance(c, expected), tolerance<float>(46));
}

TEST(Gram, SameBytesForAllThreadCounts) {
  const auto x = random_matrix<float>(200, 600, 7);
  expect_same_for_all_thread_counts([&] {
    Matrix<float> gram(600, 600);
    add_gram(x.view(), gram.view());
    mirror_upper(gram.view());
    return gram;
  });
}

}  // namespace
}  // namespace esparse

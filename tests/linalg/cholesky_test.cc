#include "linalg/cholesky.h"

#include <limits>

#include <gtest/gtest.h>

#include "linalg/reference.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

Matrix<double> lower_half(const Matrix<double>& m) {
  Matrix<double> lower(m.rows(), m.cols());
  for (int64_t i = 0; i < m.rows(); ++i)
    for (int64_t j = 0; j <= i; ++j) lower(i, j) = m(i, j);
  return lower;
}

Matrix<double> positive_definite(int64_t size) {
  Matrix<double> h = damped(gram_of(correlated_inputs(size + 20, size, 11)), 0.01);
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j < i; ++j) h(j, i) = h(i, j);
  return h;
}

// Sizes around the step of 256 columns.
constexpr int64_t kSizes[] = {0, 1, 2, 17, 255, 256, 257, 520};

TEST(Cholesky, FactorTimesItselfIsTheMatrixAndTheUpperHalfStays) {
  for (const int64_t size : kSizes) {
    const Matrix<double> h = positive_definite(size);
    Matrix<double> a = h;
    for (int64_t i = 0; i < size; ++i)
      for (int64_t j = i + 1; j < size; ++j) a(i, j) = std::numeric_limits<double>::quiet_NaN();
    ASSERT_OK(cholesky_lower(a.view()));
    for (int64_t i = 0; i < size; ++i)
      for (int64_t j = i + 1; j < size; ++j) ASSERT_TRUE(std::isnan(a(i, j)));
    const Matrix<double> l = lower_half(a);
    // Backward error of Cholesky: (n + 1) eps |L| |L^T|, and |L| |L^T| is at most the largest diagonal entry.
    EXPECT_LE(distance(product(l, transposed(l)), h), static_cast<double>(size + 2) * kEpsilon * largest(h)) << size;
  }
}

TEST(Cholesky, InverseTimesFactorIsTheIdentity) {
  for (const int64_t size : kSizes) {
    Matrix<double> l = positive_definite(size);
    ASSERT_OK(cholesky_lower(l.view()));
    l = lower_half(l);
    Matrix<double> inverse = l, identity(size, size);
    for (int64_t i = 0; i < size; ++i) identity(i, i) = 1;
    invert_lower(inverse.view());
    const double magnitude = largest(l) * largest(inverse);
    EXPECT_LE(distance(product(inverse, l), identity), static_cast<double>(size + 2) * kEpsilon * magnitude) << size;
  }
}

TEST(Cholesky, NamesTheFirstBadPivotInEveryStep) {
  for (const int64_t bad : {0, 5, 255, 256, 300, 511, 513}) {
    Matrix<double> a(514, 514);
    for (int64_t i = 0; i < 514; ++i) a(i, i) = 2;
    a(bad, bad) = -1;
    EXPECT_FAILURE(cholesky_lower(a.view()), StatusKind::numeric, fmt::format("pivot {} of 514", bad));
  }
}

TEST(Cholesky, RefusesWhatIsNotANumber) {
  for (const int64_t bad : {3, 300}) {
    Matrix<double> a(301, 301);
    for (int64_t i = 0; i < 301; ++i) a(i, i) = 2;
    a(bad, bad - 2) = std::numeric_limits<double>::quiet_NaN();
    EXPECT_FAILURE(cholesky_lower(a.view()), StatusKind::numeric, "is not positive");
  }
}

TEST(Cholesky, SameBytesForAllThreadCounts) {
  const Matrix<double> h = positive_definite(600);
  expect_same_for_all_thread_counts([&] {
    Matrix<double> a = h;
    EXPECT_OK(cholesky_lower(a.view()));
    invert_lower(a.view());
    return a;
  });
}

}  // namespace
}  // namespace esparse

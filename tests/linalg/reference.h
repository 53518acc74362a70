// Plain loops in double for the tests of linalg/.
#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/matrix.h"
#include "base/parallel.h"

namespace esparse {

template <typename T>
Matrix<T> random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  std::mt19937_64 engine(seed);
  Matrix<T> m(rows, cols);
  for (T& value : m.values()) value = static_cast<T>(static_cast<double>(engine() >> 40) * 0x1p-23 - 1.0);
  return m;
}

// Inputs whose channels depend on each other and differ in size, like activations: x = white * mixing.
inline Matrix<float> correlated_inputs(int64_t tokens, int64_t channels, uint64_t seed) {
  const auto white = random_matrix<double>(tokens, channels, seed);
  Matrix<float> x(tokens, channels);
  for (int64_t t = 0; t < tokens; ++t) {
    double carried = 0;
    for (int64_t j = 0; j < channels; ++j) {
      carried = 0.7 * carried + white(t, j);
      x(t, j) = static_cast<float>(carried * (1.0 + static_cast<double>(j % 5)));
    }
  }
  return x;
}

// x^T x in double, rounded to f32 once.
inline Matrix<float> gram_of(const Matrix<float>& x) {
  Matrix<float> gram(x.cols(), x.cols());
  std::vector<double> sums(static_cast<size_t>(x.cols()));
  for (int64_t i = 0; i < x.cols(); ++i) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t t = 0; t < x.rows(); ++t)
      for (int64_t j = 0; j < x.cols(); ++j) sums[j] += static_cast<double>(x(t, i)) * x(t, j);
    for (int64_t j = 0; j < x.cols(); ++j) gram(i, j) = static_cast<float>(sums[j]);
  }
  return gram;
}

template <typename T>
Matrix<double> widened(const Matrix<T>& m) {
  Matrix<double> wide(m.rows(), m.cols());
  for (size_t i = 0; i < m.values().size(); ++i) wide.values()[i] = m.values()[i];
  return wide;
}

template <typename T>
Matrix<T> transposed(const Matrix<T>& m) {
  Matrix<T> result(m.cols(), m.rows());
  for (int64_t i = 0; i < m.rows(); ++i)
    for (int64_t j = 0; j < m.cols(); ++j) result(j, i) = m(i, j);
  return result;
}

template <typename A, typename B>
Matrix<double> product(const Matrix<A>& a, const Matrix<B>& b) {
  Matrix<double> c(a.rows(), b.cols());
  for (int64_t i = 0; i < a.rows(); ++i)
    for (int64_t k = 0; k < a.cols(); ++k)
      for (int64_t j = 0; j < b.cols(); ++j) c(i, j) += static_cast<double>(a(i, k)) * static_cast<double>(b(k, j));
  return c;
}

// H + damping * mean(diag of live channels) * I with 1 on the diagonal of dead channels: what the headers promise.
inline Matrix<double> damped(const Matrix<float>& gram, double damping) {
  Matrix<double> h = widened(gram);
  double sum = 0, live = 0;
  for (int64_t i = 0; i < h.rows(); ++i) {
    sum += h(i, i);
    live += h(i, i) != 0;
  }
  for (int64_t i = 0; i < h.rows(); ++i) {
    if (h(i, i) == 0) h(i, i) = 1;
    h(i, i) += live > 0 ? damping * sum / live : 0;
  }
  return h;
}

// Gauss-Jordan elimination with pivots from the diagonal, for positive definite matrices.
inline Matrix<double> inverse(Matrix<double> a) {
  const int64_t n = a.rows();
  Matrix<double> result(n, n);
  for (int64_t i = 0; i < n; ++i) result(i, i) = 1;
  for (int64_t k = 0; k < n; ++k) {
    const double pivot = 1 / a(k, k);
    for (int64_t j = 0; j < n; ++j) a(k, j) *= pivot, result(k, j) *= pivot;
    for (int64_t i = 0; i < n; ++i) {
      const double factor = a(i, k);
      if (i == k || factor == 0) continue;
      for (int64_t j = 0; j < n; ++j) a(i, j) -= factor * a(k, j), result(i, j) -= factor * result(k, j);
    }
  }
  return result;
}

template <typename T>
double largest(const Matrix<T>& m) {
  double value = 0;
  for (const T x : m.values()) value = std::max(value, std::abs(static_cast<double>(x)));
  return value;
}

// The largest difference; infinite when something is NaN.
template <typename A, typename B>
double distance(const Matrix<A>& a, const Matrix<B>& b) {
  EXPECT_EQ(a.rows(), b.rows());
  EXPECT_EQ(a.cols(), b.cols());
  double worst = 0;
  for (size_t i = 0; i < a.values().size(); ++i) {
    const double d = std::abs(static_cast<double>(a.values()[i]) - static_cast<double>(b.values()[i]));
    worst = d <= worst ? worst : (std::isnan(d) ? INFINITY : d);
  }
  return worst;
}

template <typename T>
bool same_bytes(const Matrix<T>& a, const Matrix<T>& b) {
  return a.values().size() == b.values().size() && std::memcmp(a.data(), b.data(), a.values().size() * sizeof(T)) == 0;
}

// tr(D H D^T) for D = a - b.
template <typename A, typename B>
double squared_error(const Matrix<A>& a, const Matrix<B>& b, const Matrix<double>& h) {
  Matrix<double> d(a.rows(), a.cols());
  for (size_t i = 0; i < d.values().size(); ++i)
    d.values()[i] = static_cast<double>(a.values()[i]) - static_cast<double>(b.values()[i]);
  const Matrix<double> dh = product(d, h);
  double sum = 0;
  for (size_t i = 0; i < d.values().size(); ++i) sum += d.values()[i] * dh.values()[i];
  return sum;
}

// Runs `compute` with 1, 2 and 4 threads; the results must have the same bytes.
template <typename F>
void expect_same_for_all_thread_counts(F&& compute) {
  set_thread_count(1);
  const auto expected = compute();
  for (const int threads : {2, 4}) {
    set_thread_count(threads);
    const auto got = compute();
    EXPECT_TRUE(same_bytes(expected, got)) << threads << " threads";
  }
  set_thread_count(0);
}

}  // namespace esparse

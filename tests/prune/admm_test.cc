#include "prune/admm.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "linalg/reference.h"
#include "prune/masked_solve.h"
#include "prune/top_k.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

struct Layer {
  Matrix<float> weight, gram;
  Matrix<double> h;
};

Layer make_layer(int64_t out_features, int64_t in_features, uint64_t seed = 21) {
  Layer layer;
  layer.weight = random_matrix<float>(out_features, in_features, seed);
  layer.gram = gram_of(correlated_inputs(2 * in_features, in_features, seed + 1));
  layer.h = damped(layer.gram, 0.01);
  return layer;
}

Matrix<uint8_t> largest_of(const Matrix<double>& z, NmPattern pattern) {
  Matrix<uint8_t> mask(z.rows(), z.cols());
  for (int64_t i = 0; i < z.rows(); ++i) {
    for (int64_t first = 0; first < z.cols(); first += pattern.group) {
      const int64_t count = std::min<int64_t>(pattern.group, z.cols() - first);
      std::vector<int64_t> order(static_cast<size_t>(count));
      std::iota(order.begin(), order.end(), first);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return std::abs(z(i, a)) > std::abs(z(i, b)); });
      for (int64_t k = 0; k < (pattern.kept * count + pattern.group - 1) / pattern.group; ++k) mask(i, order[k]) = 1;
    }
  }
  return mask;
}

// The method with its three matrices and explicit inverses, in double, without the final solution. As long as the mask
// still moves: the penalty grows by 1.3 or 1.2.
struct PlainAdmm {
  Matrix<double> weight;
  Matrix<uint8_t> mask;
  PlainAdmm(const Layer& layer, NmPattern pattern, double rho, int iterations) {
    const int64_t rows = layer.weight.rows(), n = layer.weight.cols();
    Matrix<double> g = layer.h, w0 = widened(layer.weight);
    std::vector<double> scale(static_cast<size_t>(n));
    for (int64_t j = 0; j < n; ++j) scale[j] = std::sqrt(layer.h(j, j));
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) g(i, j) /= scale[i] * scale[j];
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < n; ++j) w0(i, j) *= scale[j];
    const Matrix<double> target = product(w0, g);
    Matrix<double> b, d = w0, v(rows, n);
    mask = largest_of(w0, pattern);
    for (size_t k = 0; k < d.values().size(); ++k) d.values()[k] *= mask.values()[k];
    Matrix<uint8_t> seen = mask;
    for (int iteration = 1; iteration <= iterations; ++iteration) {
      Matrix<double> shifted = g, right_side = target;
      for (int64_t j = 0; j < n; ++j) shifted(j, j) += rho;
      for (size_t k = 0; k < d.values().size(); ++k) right_side.values()[k] += rho * d.values()[k] - v.values()[k];
      b = product(right_side, inverse(shifted));
      for (size_t k = 0; k < d.values().size(); ++k) d.values()[k] = b.values()[k] + v.values()[k] / rho;
      mask = largest_of(d, pattern);
      double changes = 0, kept = 0;
      for (size_t k = 0; k < d.values().size(); ++k) {
        d.values()[k] *= mask.values()[k];
        v.values()[k] += rho * (b.values()[k] - d.values()[k]);
        changes += mask.values()[k] != seen.values()[k];
        kept += mask.values()[k];
      }
      if (iteration % 3 != 0) continue;
      EXPECT_GT(changes / kept, 0.005) << "this reference knows no other case";
      rho *= changes / kept > 0.1 ? 1.3 : 1.2;
      seen = mask;
    }
    weight = d;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < n; ++j) weight(i, j) /= scale[j];
  }
};

TEST(Alps, IterationsMatchThePlainMethod) {
  const Layer layer = make_layer(20, 45);
  for (const int iterations : {1, 2, 3, 4, 7, 9}) {
    Matrix<float> weight = layer.weight;
    Matrix<uint8_t> mask(20, 45);
    const auto report = alps(weight.view(), layer.gram, NmPattern{2, 4}, mask.view(),
                             {.rho = 0.2, .max_iterations = iterations, .final_iterations = 0});
    ASSERT_OK(report);
    EXPECT_EQ(report->iterations, iterations);
    const PlainAdmm expected(layer, {2, 4}, 0.2, iterations);
    ASSERT_TRUE(same_bytes(mask, expected.mask)) << iterations;
    // Each iteration solves with a matrix of condition at most in / (rho + 0.01) in f32.
    const double tolerance = iterations * 45 / 0.2 * std::numeric_limits<float>::epsilon() * largest(expected.weight);
    EXPECT_LE(distance(weight, expected.weight), tolerance) << iterations;
  }
}

// The best weights for a mask by its scores.
double refit_error(const Layer& layer, const Matrix<uint8_t>& mask) {
  Matrix<float> weight = layer.weight, target(weight.rows(), weight.cols()), h(weight.cols(), weight.cols());
  const Matrix<double> exact = product(layer.weight, layer.h);
  for (size_t i = 0; i < exact.values().size(); ++i) target.values()[i] = static_cast<float>(exact.values()[i]);
  for (size_t i = 0; i < layer.h.values().size(); ++i) h.values()[i] = static_cast<float>(layer.h.values()[i]);
  masked_solve(h.view(), target.view(), mask.view(), weight.view(), {.max_iterations = 300, .rtol = 1e-6});
  return squared_error(weight, layer.weight, layer.h);
}

int64_t kept_of(const Matrix<uint8_t>& mask) {
  return std::accumulate(mask.values().begin(), mask.values().end(), int64_t{0});
}

void expect_support(const Matrix<float>& weight, const Matrix<uint8_t>& mask) {
  for (size_t i = 0; i < mask.values().size(); ++i) {
    ASSERT_LE(mask.values()[i], 1);
    if (mask.values()[i] == 0) {
      ASSERT_EQ(weight.values()[i], 0);
    }
    ASSERT_TRUE(std::isfinite(weight.values()[i]));
  }
}

// Columns behind the pruned ones are kept and take the weights that are best beside the others.
TEST(Alps, KeepsTheColumnsBehindThePattern) {
  for (const NmPattern pattern : {NmPattern{2, 4}, {3, 5}})
    for (const int64_t columns : {40, 57, 70}) {
      const Layer layer = make_layer(33, 70);
      Matrix<float> weight = layer.weight, all = layer.weight;
      Matrix<uint8_t> mask(33, 70), mask_of_all(33, 70);
      ASSERT_OK(alps(weight.view(), layer.gram, pattern, columns, mask.view()));
      ASSERT_OK(alps(all.view(), layer.gram, pattern, mask_of_all.view()));
      expect_support(weight, mask);
      double moved = 0;
      for (int64_t i = 0; i < 33; ++i) {
        for (int64_t first = 0; first < columns; first += pattern.group) {
          const int64_t width = std::min<int64_t>(pattern.group, columns - first);
          int64_t kept = 0;
          for (int64_t j = first; j < first + width; ++j) kept += mask(i, j);
          EXPECT_EQ(kept, (pattern.kept * width + pattern.group - 1) / pattern.group);
        }
        for (int64_t j = columns; j < 70; ++j) {
          EXPECT_EQ(mask(i, j), 1);
          moved += std::abs(weight(i, j) - layer.weight(i, j));
        }
      }
      if (columns < 70) {
        EXPECT_GT(moved, 0);
        EXPECT_LT(squared_error(weight, layer.weight, layer.h), squared_error(all, layer.weight, layer.h));
      }
      EXPECT_LE(squared_error(weight, layer.weight, layer.h), 1.02 * refit_error(layer, mask));
    }
}

TEST(Alps, PatternsBeatMagnitudeAndWandaWithTheirBestWeights) {
  for (const NmPattern pattern : {NmPattern{2, 4}, {1, 4}, {4, 8}, {3, 5}}) {
    const Layer layer = make_layer(33, 70);
    Matrix<float> weight = layer.weight;
    Matrix<uint8_t> mask(33, 70);
    const auto report = alps(weight.view(), layer.gram, pattern, mask.view());
    ASSERT_OK(report);
    EXPECT_TRUE(report->converged);
    expect_support(weight, mask);
    for (int64_t i = 0; i < 33; ++i) {
      for (int64_t first = 0; first < 70; first += pattern.group) {
        const int64_t count = std::min<int64_t>(pattern.group, 70 - first);
        EXPECT_EQ(std::accumulate(&mask(i, first), &mask(i, first) + count, 0), pattern.kept_in(count));
      }
    }
    Matrix<double> magnitude = widened(layer.weight), wanda = magnitude;
    for (int64_t i = 0; i < 33; ++i)
      for (int64_t j = 0; j < 70; ++j) wanda(i, j) *= std::sqrt(layer.gram(j, j));
    const double error = squared_error(weight, layer.weight, layer.h);
    EXPECT_LT(error, refit_error(layer, largest_of(magnitude, pattern))) << pattern.text();
    EXPECT_LT(error, refit_error(layer, largest_of(wanda, pattern))) << pattern.text();
  }
}

TEST(Alps, UnstructuredKeepsTheExactCountAndBeatsWanda) {
  for (const double sparsity : {0.5, 0.7, 0.9}) {
    const Layer layer = make_layer(31, 64);
    Matrix<float> weight = layer.weight;
    Matrix<uint8_t> mask(31, 64), wanda_mask(31, 64);
    ASSERT_OK(alps(weight.view(), layer.gram, sparsity, mask.view()));
    expect_support(weight, mask);
    EXPECT_EQ(kept_of(mask), std::llround((1 - sparsity) * 31 * 64));
    Matrix<float> wanda = layer.weight;
    for (int64_t i = 0; i < 31; ++i)
      for (int64_t j = 0; j < 64; ++j) wanda(i, j) *= std::sqrt(layer.gram(j, j));
    keep_largest(wanda.view(), kept_of(mask), wanda_mask.view());
    EXPECT_LT(squared_error(weight, layer.weight, layer.h), refit_error(layer, wanda_mask)) << sparsity;
  }
}

TEST(Alps, WeightsThatFitThePatternStay) {
  Layer layer = make_layer(8, 32);
  for (int64_t i = 0; i < 8; ++i)
    for (int64_t j = 0; j < 32; j += 4) layer.weight(i, j) = layer.weight(i, j + 1 + i % 3) = 0;
  Matrix<float> weight = layer.weight;
  Matrix<uint8_t> mask(8, 32);
  ASSERT_OK(alps(weight.view(), layer.gram, NmPattern{2, 4}, mask.view()));
  EXPECT_LE(distance(weight, layer.weight), 1e-3);
  EXPECT_EQ(kept_of(mask), 8 * 16);
}

TEST(Alps, NothingAndEverythingRemoved) {
  const Layer layer = make_layer(5, 12);
  Matrix<float> all = layer.weight, none = layer.weight;
  Matrix<uint8_t> mask(5, 12);
  ASSERT_OK(alps(none.view(), layer.gram, 1.0, mask.view()));
  EXPECT_EQ(largest(none), 0);
  ASSERT_OK(alps(all.view(), layer.gram, 0.0, mask.view()));
  EXPECT_EQ(kept_of(mask), 60);
  EXPECT_LE(squared_error(all, layer.weight, layer.h), 1e-5 * squared_error(none, layer.weight, layer.h));
}

TEST(Alps, DeadChannelsAndAnEmptyGramAreHarmless) {
  Layer layer = make_layer(6, 20);
  for (int64_t k = 0; k < 20; ++k) layer.gram(4, k) = layer.gram(k, 4) = layer.gram(9, k) = layer.gram(k, 9) = 0;
  Matrix<float> weight = layer.weight;
  Matrix<uint8_t> mask(6, 20);
  ASSERT_OK(alps(weight.view(), layer.gram, NmPattern{2, 4}, mask.view()));
  expect_support(weight, mask);
  weight = layer.weight;
  ASSERT_OK(alps(weight.view(), Matrix<float>(20, 20), NmPattern{2, 4}, mask.view()));
  expect_support(weight, mask);
  EXPECT_EQ(kept_of(mask), 6 * 10);
}

TEST(Alps, Refusals) {
  const Layer layer = make_layer(4, 8);
  Matrix<float> weight = layer.weight;
  Matrix<uint8_t> mask(4, 8);
  const auto run = [&](const Matrix<float>& gram, AlpsOptions options) {
    return alps(weight.view(), gram, NmPattern{2, 4}, mask.view(), options);
  };
  EXPECT_FAILURE(run(layer.gram, {.damping = -1}), StatusKind::invalid_argument, "damping");
  EXPECT_FAILURE(run(layer.gram, {.rho = 0}), StatusKind::invalid_argument, "rho");
  EXPECT_FAILURE(run(layer.gram, {.rho = std::nan("")}), StatusKind::invalid_argument, "rho");
  Matrix<float> bad = layer.gram;
  bad(2, 5) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FAILURE(run(bad, {}), StatusKind::numeric, "scaled gram");
  bad = layer.gram;
  bad(3, 3) = std::numeric_limits<float>::infinity();
  EXPECT_FAILURE(run(bad, {}), StatusKind::numeric, "channel");
  bad = layer.gram;
  bad(0, 1) = 1e6f * bad(0, 0);
  EXPECT_FAILURE(run(bad, {}), StatusKind::numeric, "not positive");
  EXPECT_TRUE(same_bytes(weight, layer.weight));
}

TEST(Alps, SameBytesForAllThreadCounts) {
  const Layer layer = make_layer(200, 90);
  for (const bool unstructured : {false, true}) {
    expect_same_for_all_thread_counts([&] {
      Matrix<float> weight = layer.weight;
      Matrix<uint8_t> mask(200, 90);
      EXPECT_OK(unstructured ? alps(weight.view(), layer.gram, 0.6, mask.view())
                             : alps(weight.view(), layer.gram, NmPattern{2, 4}, mask.view()));
      return weight;
    });
  }
}

}  // namespace
}  // namespace esparse

#include "prune/obs.h"

#include <algorithm>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "linalg/inverse_factor.h"
#include "linalg/reference.h"
#include "prune/top_k.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// The method as it is derived, in double: the inverse of the Hessian of the columns not yet visited is carried along
// and one column is eliminated from it at a time. No Cholesky factor, no blocks.
class Reference {
 public:
  Reference(const Matrix<float>& weight, const Matrix<double>& h)
      : weight_(widened(weight)), mask_(weight.rows(), weight.cols()), rows_(h.rows(), h.rows()) {
    Matrix<double> inverse_h = inverse(h);
    const int64_t n = h.rows();
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t k = j; k < n; ++k) rows_(j, k) = inverse_h(j, k);
      for (int64_t i = j + 1; i < n; ++i)
        for (int64_t k = j + 1; k < n; ++k) inverse_h(i, k) -= rows_(j, i) * rows_(j, k) / rows_(j, j);
    }
  }

  // The sweep; `choose` is called at every column first and may decide the mask of columns from there on.
  void run(const std::function<void(Reference&, int64_t column)>& choose) {
    for (int64_t j = 0; j < weight_.cols(); ++j) {
      choose(*this, j);
      for (int64_t i = 0; i < weight_.rows(); ++i) {
        if (mask_(i, j) != 0) continue;
        const double factor = weight_(i, j) / rows_(j, j);
        loss_ += factor * weight_(i, j);
        for (int64_t k = j + 1; k < weight_.cols(); ++k) weight_(i, k) -= factor * rows_(j, k);
        weight_(i, j) = 0;
      }
    }
  }
  double score(int64_t i, int64_t j) const { return weight_(i, j) * weight_(i, j) / rows_(j, j); }

  void choose_groups(NmPattern pattern, int64_t column) { choose_leading_groups(pattern, column, weight_.cols()); }

  // Groups end at `columns`; behind it everything is kept.
  void choose_leading_groups(NmPattern pattern, int64_t column, int64_t columns) {
    if (column == 0)
      for (int64_t i = 0; i < weight_.rows(); ++i)
        std::fill(mask_.row(i).begin() + columns, mask_.row(i).end(), uint8_t{1});
    if (column >= columns || column % pattern.group != 0) return;
    const int64_t count = std::min<int64_t>(pattern.group, columns - column);
    const int64_t kept = (pattern.kept * count + pattern.group - 1) / pattern.group;
    for (int64_t i = 0; i < weight_.rows(); ++i) {
      std::vector<std::pair<double, int64_t>> order;
      for (int64_t j = column; j < column + count; ++j) order.push_back({-score(i, j), j});
      std::sort(order.begin(), order.end());
      for (int64_t k = 0; k < count; ++k) mask_(i, order[k].second) = k < kept;
    }
  }

  void choose_block(double sparsity, int64_t block, int64_t column) {
    if (column % block != 0) return;
    const int64_t end = std::min(weight_.cols(), column + block);
    std::vector<std::tuple<double, int64_t, int64_t>> order;
    for (int64_t i = 0; i < weight_.rows(); ++i)
      for (int64_t j = column; j < end; ++j) order.push_back({-score(i, j), i, j});
    std::sort(order.begin(), order.end());
    const auto removed = static_cast<size_t>(std::floor(sparsity * static_cast<double>(order.size())));
    for (size_t k = 0; k < order.size(); ++k)
      mask_(std::get<1>(order[k]), std::get<2>(order[k])) = k < order.size() - removed;
  }

  Matrix<double> weight_;
  Matrix<uint8_t> mask_;
  Matrix<double> rows_;  // row j of the inverse of H restricted to columns >= j
  double loss_ = 0;
};

struct Layer {
  Matrix<float> weight, gram, u;
  Matrix<double> h;
};

Layer make_layer(int64_t out_features, int64_t in_features, uint64_t seed = 5) {
  Layer layer;
  layer.weight = random_matrix<float>(out_features, in_features, seed);
  layer.gram = gram_of(correlated_inputs(std::min<int64_t>(in_features + 30, 600), in_features, seed + 1));
  layer.h = damped(layer.gram, 0.01);
  auto u = inverse_cholesky_upper(layer.gram, 0.01);
  EXPECT_OK(u);
  layer.u = std::move(u).value();
  return layer;
}

// A weight is the sum of at most in_features corrections, each rounded in f32 along the way from U to here.
void expect_matches(const Layer& layer, const Matrix<float>& weight, const Matrix<uint8_t>& mask, double loss,
                    const Reference& expected, const std::string& what) {
  ASSERT_TRUE(same_bytes(mask, expected.mask_)) << what;
  const double tolerance =
      4 * static_cast<double>(weight.cols() + 8) * std::numeric_limits<float>::epsilon() * largest(expected.weight_);
  EXPECT_LE(distance(weight, expected.weight_), tolerance) << what;
  for (size_t i = 0; i < mask.values().size(); ++i) {
    if (mask.values()[i] == 0) {
      ASSERT_EQ(weight.values()[i], 0) << what;
    }
  }
  EXPECT_NEAR(loss, expected.loss_, 1e-4 * expected.loss_) << what;
  // What the header says about the loss.
  EXPECT_NEAR(loss, squared_error(weight, layer.weight, layer.h), 1e-4 * expected.loss_) << what;
}

void check_pattern(const Layer& layer, NmPattern pattern) {
  Matrix<float> weight = layer.weight;
  Matrix<uint8_t> mask(weight.rows(), weight.cols());
  for (uint8_t& value : mask.values()) value = 9;
  const double loss = obs_sweep(weight.view(), layer.u.view(), pattern, mask.view());
  Reference expected(layer.weight, layer.h);
  expected.run([&](Reference& r, int64_t column) { r.choose_groups(pattern, column); });
  expect_matches(layer, weight, mask, loss, expected,
                 fmt::format("{} [{}, {}]", pattern.text(), weight.rows(), weight.cols()));
}

TEST(ObsSweep, PatternsMatchTheDerivationWithAllTails) {
  for (const auto& [rows, columns] :
       {std::pair{1, 1}, {1, 4}, {3, 7}, {65, 16}, {5, 33}, {64, 96}, {130, 131}, {7, 257}}) {
    const Layer layer = make_layer(rows, columns);
    for (const NmPattern pattern : {NmPattern{2, 4}, {1, 2}, {4, 8}, {3, 5}, {1, 3}, {5, 24}, {9, 32}})
      check_pattern(layer, pattern);
  }
}

// Columns behind the swept ones are kept and make up for them; the errors reported are those of the loss.
TEST(ObsSweep, LeadingColumnsMatchTheDerivation) {
  for (const auto& [rows, columns, swept] : {std::tuple{3, 7, 4},
                                             {65, 40, 30},
                                             {5, 33, 32},
                                             {64, 96, 0},
                                             {4, 1100, 1040},
                                             {4, 1100, 700},
                                             {7, 20, 20},
                                             {1, 2, 1}})
    for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}, {3, 5}}) {
      const Layer layer = make_layer(rows, columns);
      Matrix<float> weight = layer.weight, errors(rows, swept);
      Matrix<uint8_t> mask(rows, columns);
      for (uint8_t& value : mask.values()) value = 9;
      auto reported = errors.view();
      const double loss = obs_sweep(weight.view(), layer.u.view(), pattern, mask.view(), swept, &reported);
      Reference expected(layer.weight, layer.h);
      expected.run([&, end = swept](Reference& r, int64_t column) { r.choose_leading_groups(pattern, column, end); });
      const std::string what = fmt::format("{} [{}, {} of {}]", pattern.text(), rows, swept, columns);
      if (swept > 0) expect_matches(layer, weight, mask, loss, expected, what);
      if (swept == 0) {
        EXPECT_TRUE(same_bytes(weight, layer.weight) && loss == 0) << what;
      }
      double sum = 0;
      for (const float error : errors.values()) sum += static_cast<double>(error) * error;
      EXPECT_NEAR(sum, loss, 1e-5 * loss) << what;
    }
}

TEST(ObsSweep, MatchesTheDerivationBeyondOneStretchOfColumns) {
  const Layer layer = make_layer(4, 1100);
  check_pattern(layer, {2, 4});
  check_pattern(layer, {3, 5});
}

TEST(ObsSweep, UnstructuredBlocksMatchTheDerivation) {
  for (const auto& [rows, columns] : {std::pair{1, 5}, {3, 128}, {70, 129}, {9, 300}}) {
    const Layer layer = make_layer(rows, columns, 8);
    for (const auto& [sparsity, block] :
         {std::pair{0.5, 128}, {0.7, 128}, {0.0, 128}, {1.0, 128}, {0.37, 20}, {0.5, 1}}) {
      Matrix<float> weight = layer.weight;
      Matrix<uint8_t> mask(rows, columns);
      const double loss = obs_sweep(weight.view(), layer.u.view(), sparsity, mask.view(), block);
      Reference expected(layer.weight, layer.h);
      expected.run([&, s = sparsity, b = block](Reference& r, int64_t column) { r.choose_block(s, b, column); });
      expect_matches(layer, weight, mask, loss, expected,
                     fmt::format("{} [{}, {}] {}", sparsity, rows, columns, block));
    }
  }
}

TEST(ObsSweep, GivenMaskMatchesTheDerivation) {
  const Layer layer = make_layer(67, 150);
  Matrix<uint8_t> mask(67, 150);
  const auto random = random_matrix<float>(67, 150, 77);
  for (size_t i = 0; i < mask.values().size(); ++i) mask.values()[i] = random.values()[i] > 0.2f;
  Matrix<float> weight = layer.weight;
  const double loss = obs_sweep_masked(weight.view(), layer.u.view(), mask.view());
  Reference expected(layer.weight, layer.h);
  expected.mask_ = mask;
  expected.run([](Reference&, int64_t) {});
  expect_matches(layer, weight, mask, loss, expected, "given mask");
}

TEST(ObsSweep, WorkedExample) {
  // H = [4 2; 2 2], inverse [0.5 -0.5; -0.5 1], U = sqrt(1/2) [1 -1; 0 1]. Row (1, 3) at 1:2 scores (2, 18): column 0
  // goes. w / U_00 * U_01 = -1 is subtracted from column 1: 3 - (-1) = 4. Loss 1 / 0.5 = 2 = (-1, 1) H (-1, 1)^T.
  Matrix<float> gram(2, 2), weight(1, 2);
  gram(0, 0) = 4, gram(0, 1) = gram(1, 0) = 2, gram(1, 1) = 2;
  weight(0, 0) = 1, weight(0, 1) = 3;
  const auto u = inverse_cholesky_upper(gram, 0);
  ASSERT_OK(u);
  Matrix<uint8_t> mask(1, 2);
  EXPECT_NEAR(obs_sweep(weight.view(), u->view(), NmPattern{1, 2}, mask.view()), 2, 1e-6);
  EXPECT_EQ(weight(0, 0), 0);
  EXPECT_NEAR(weight(0, 1), 4, 1e-6);
  EXPECT_EQ(mask(0, 0), 0);
  EXPECT_EQ(mask(0, 1), 1);
}

TEST(ObsSweep, BetterThanTheSameShareWithoutUpdates) {
  const Layer layer = make_layer(40, 120);
  Matrix<float> weight = layer.weight, wanda = layer.weight;
  Matrix<uint8_t> mask(40, 120);
  const double loss = obs_sweep(weight.view(), layer.u.view(), NmPattern{2, 4}, mask.view());
  for (int64_t i = 0; i < 40; ++i) {
    std::vector<float> scores(120);
    for (int64_t j = 0; j < 120; ++j) scores[j] = wanda(i, j) * std::sqrt(layer.gram(j, j));
    keep_largest_of_groups(scores, {2, 4}, mask.row(i));
    for (int64_t j = 0; j < 120; ++j)
      if (mask(i, j) == 0) wanda(i, j) = 0;
  }
  EXPECT_LT(loss, 0.5 * squared_error(wanda, layer.weight, layer.h));
}

TEST(ObsSweep, DeadChannelsStayZeroAndCostNothing) {
  Matrix<float> x = correlated_inputs(90, 40, 6);
  for (int64_t t = 0; t < 90; ++t) x(t, 3) = x(t, 21) = 0;
  const Matrix<float> gram = gram_of(x);
  const auto u = inverse_cholesky_upper(gram, 0.01);
  ASSERT_OK(u);
  Layer layer{random_matrix<float>(10, 40, 2), gram, *u, damped(gram, 0.01)};
  for (int64_t i = 0; i < 10; ++i) layer.weight(i, 3) = layer.weight(i, 21) = 0;
  check_pattern(layer, {2, 4});
}

TEST(ObsSweep, StridedViewsLeaveTheirSurroundingsAlone) {
  const Layer layer = make_layer(20, 50);
  auto whole = random_matrix<float>(24, 60, 9);
  const Matrix<float> before = whole;
  const auto inside = whole.view().rows_from(2, 20).cols_from(5, 50);
  for (int64_t i = 0; i < 20; ++i) std::copy_n(layer.weight.row(i).data(), 50, inside.row(i).data());
  Matrix<float> plain = layer.weight;
  Matrix<uint8_t> mask(20, 50);
  obs_sweep(plain.view(), layer.u.view(), NmPattern{2, 4}, mask.view());
  obs_sweep(inside, layer.u.view(), NmPattern{2, 4}, mask.view());
  for (int64_t i = 0; i < 24; ++i) {
    for (int64_t j = 0; j < 60; ++j) {
      const bool in = i >= 2 && i < 22 && j >= 5 && j < 55;
      ASSERT_EQ(whole(i, j), in ? plain(i - 2, j - 5) : before(i, j)) << i << "," << j;
    }
  }
}

TEST(ObsSweep, SameBytesForAllThreadCounts) {
  const Layer layer = make_layer(300, 400);
  for (const bool unstructured : {false, true}) {
    expect_same_for_all_thread_counts([&] {
      Matrix<float> weight = layer.weight;
      Matrix<uint8_t> mask(300, 400);
      const double loss = unstructured ? obs_sweep(weight.view(), layer.u.view(), 0.5, mask.view())
                                       : obs_sweep(weight.view(), layer.u.view(), NmPattern{2, 4}, mask.view());
      Matrix<double> all(301, 400);  // weights and loss
      for (size_t i = 0; i < weight.values().size(); ++i) all.values()[i] = weight.values()[i];
      all(300, 0) = loss;
      return all;
    });
  }
}

}  // namespace
}  // namespace esparse

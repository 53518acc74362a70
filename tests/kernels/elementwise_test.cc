#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/parallel.h"
#include "kernels/fast_exp.h"
#include "kernels/reference.h"

namespace esparse {
namespace {

using namespace testing_support;

TEST(FastExp, RelativeErrorBelow2e7) {
  double worst = 0;
  for (double x = -87; x <= 88; x += 0.00173) {
    const auto input = static_cast<float>(x);
    worst = std::max(worst, std::abs(fast_exp(input) / std::exp(static_cast<double>(input)) - 1));
  }
  EXPECT_LT(worst, 2e-7);
  EXPECT_EQ(fast_exp(0.0f), 1.0f);
  EXPECT_TRUE(std::isfinite(fast_exp(1e30f)));
  EXPECT_GT(fast_exp(-1e30f), 0.0f);
}

TEST(RmsNorm, FollowsTheFormulaAndTheOrder) {
  const auto x = random_matrix(5, 19, 1), gain = random_matrix(1, 19, 2);
  std::vector<int32_t> order(19);
  for (int32_t k = 0; k < 19; ++k) order[k] = (k * 7 + 3) % 19;
  Matrix<float> plain(5, 19), ordered(5, 19);
  rms_norm(x.view(), gain.row(0), 1e-5f, {}, plain.view());
  rms_norm(x.view(), gain.row(0), 1e-5f, order, ordered.view());
  for (int64_t t = 0; t < 5; ++t) {
    double squares = 0;
    for (float value : x.row(t)) squares += static_cast<double>(value) * value;
    for (int64_t k = 0; k < 19; ++k) {
      EXPECT_NEAR(plain(t, k), x(t, k) / std::sqrt(squares / 19 + 1e-5f) * gain(0, k), 1e-6);
      EXPECT_EQ(ordered(t, k), plain(t, order[k]));
    }
  }
}

TEST(LayerNorm, FollowsTheFormulaAndTheOrder) {
  auto x = random_matrix(3, 21, 1);
  for (float& value : x.values()) value += 100.0f;  // a large mean must not spoil the variance
  const auto gain = random_matrix(1, 21, 2), bias = random_matrix(1, 21, 3);
  std::vector<int32_t> order(21);
  for (int32_t k = 0; k < 21; ++k) order[k] = (k * 5 + 1) % 21;
  Matrix<float> plain(3, 21), ordered(3, 21), bare(3, 21);
  layer_norm(x.view(), gain.row(0), bias.row(0), 1e-5f, {}, plain.view());
  layer_norm(x.view(), gain.row(0), bias.row(0), 1e-5f, order, ordered.view());
  layer_norm(x.view(), {}, {}, 1e-5f, {}, bare.view());
  for (int64_t t = 0; t < 3; ++t) {
    double mean = 0, variance = 0;
    for (float value : x.row(t)) mean += value / 21.0;
    for (float value : x.row(t)) variance += (value - mean) * (value - mean) / 21.0;
    for (int64_t k = 0; k < 21; ++k) {
      const double normalised = (x(t, k) - mean) / std::sqrt(variance + 1e-5);
      EXPECT_NEAR(bare(t, k), normalised, 2e-5);
      EXPECT_NEAR(plain(t, k), normalised * gain(0, k) + bias(0, k), 2e-5);
      EXPECT_EQ(ordered(t, k), plain(t, order[k]));
    }
  }
}

TEST(Activations, FollowTheirFormulas) {
  auto x = random_matrix(2, 37, 1);
  for (float& value : x.values()) value *= 8;
  const auto up = random_matrix(2, 37, 2);
  auto silu = x, rectified = x, gelu_x = x;
  silu_multiply(silu.view(), up.view());
  relu(rectified.view());
  gelu(gelu_x.view());
  for (int64_t i = 0; i < 74; ++i) {
    const double value = x.values()[i];
    EXPECT_NEAR(silu.values()[i], value / (1 + std::exp(-value)) * up.values()[i], 2e-6);
    EXPECT_EQ(rectified.values()[i], value > 0 ? static_cast<float>(value) : 0.0f);
    EXPECT_NEAR(gelu_x.values()[i], 0.5 * value * (1 + std::erf(value / std::sqrt(2.0))), 2e-6);
  }
}

// Rows of every length around the tile, values beyond the range of the exponential, rows that are not adjacent.
TEST(Silu, TailsAndLargeValues) {
  for (const int64_t cols : {1, 3, 255, 256, 257, 511, 512, 515}) {
    auto gate = random_matrix(3, cols + 5, 1), up = random_matrix(3, cols, 2);
    for (float& value : gate.values()) value *= 8;
    gate(1, 0) = -1000;
    gate(2, cols - 1) = 1000;
    gate(0, cols / 2) = -90;
    const auto before = gate;
    silu_multiply(gate.view().cols_from(0, cols), up.view());
    for (int64_t row = 0; row < 3; ++row)
      for (int64_t k = 0; k < cols + 5; ++k) {
        const double value = before(row, k);
        const double expected = k < cols ? value / (1 + std::exp(-value)) * up(row, k) : value;
        ASSERT_NEAR(gate(row, k), expected, 2e-6 + 1e-6 * std::fabs(expected)) << cols << ": " << row << "," << k;
      }
  }
}

// A rotation keeps the length of every pair, and rotating by position p then by -p gives back the input.
TEST(Rotary, RotatesPairsByPosition) {
  const std::vector<float> frequencies = {1.0f, 0.1f, 0.01f};
  auto x = random_matrix(4, 12, 1);
  const auto original = x;
  apply_rotary(x.view(), 6, rotary_angles(frequencies, 5, 4, 1.0f));
  for (int64_t t = 0; t < 4; ++t)
    for (int64_t head = 0; head < 2; ++head)
      for (int64_t i = 0; i < 3; ++i) {
        const double angle = static_cast<double>(5 + t) * frequencies[i];
        const double a = original(t, head * 6 + i), b = original(t, head * 6 + i + 3);
        EXPECT_NEAR(x(t, head * 6 + i), a * std::cos(angle) - b * std::sin(angle), 1e-6);
        EXPECT_NEAR(x(t, head * 6 + i + 3), b * std::cos(angle) + a * std::sin(angle), 1e-6);
      }
}

TEST(Softmax, SumsToOneAndSurvivesLargeInputs) {
  std::vector<float> values = {1000.0f, 999.0f, -1000.0f};
  EXPECT_NEAR(log_sum_exp(values), 1000 + std::log1p(std::exp(-1.0)), 1e-6);
  softmax(values);
  EXPECT_NEAR(values[0], 1 / (1 + std::exp(-1.0)), 1e-6);
  EXPECT_NEAR(values[0] + values[1] + values[2], 1.0, 1e-6);
}

}  // namespace
}  // namespace esparse

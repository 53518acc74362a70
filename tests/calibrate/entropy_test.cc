#include "calibrate/entropy.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "prune/golden_cases.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

constexpr EntropyRange kChannel{EntropyRangeKind::channel, 1.0};
constexpr EntropyRange kLayer{EntropyRangeKind::layer, 1.0};

Result<std::vector<double>> entropy_of(const Matrix<float>& inputs, const EntropyRange& range = kChannel,
                                       int bins = kEntropyBins) {
  ChannelRanges ranges(inputs.cols());
  ranges.add(inputs.view());
  ESPARSE_ASSIGN_OR_RETURN(ChannelHistograms histograms, ranges.histograms(range, bins));
  histograms.add(inputs.view());
  return histograms.entropy();
}

Matrix<float> column(const std::vector<float>& values) {
  Matrix<float> inputs(static_cast<int64_t>(values.size()), 1);
  std::ranges::copy(values, inputs.values().begin());
  return inputs;
}

Matrix<float> random_inputs(int64_t tokens, int64_t channels, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Matrix<float> inputs(tokens, channels);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t j = 0; j < channels; ++j) inputs(t, j) = normal(random) * std::exp(static_cast<float>(j % 7) - 3.0f);
  return inputs;
}

// Four bins over [0, 4]: 0 | 1 1 | 2.5 | 3.5 4, the maximum belonging to the last bin. Shares 1/6, 2/6, 1/6, 2/6:
// H = 2 * (1/6) ln 6 + 2 * (1/3) ln 3.
TEST(Entropy, WorkedExample) {
  const auto entropy = entropy_of(column({0, 1, 1, 2.5f, 3.5f, 4}), kChannel, 4);
  ASSERT_OK(entropy);
  EXPECT_NEAR(entropy->at(0), std::log(6.0) / 3 + 2 * std::log(3.0) / 3, 1e-15);
  EXPECT_NEAR(entropy_of(column({-5, 7, 7, -5}))->at(0), std::log(2.0), 1e-15);
}

TEST(Entropy, ConstantChannelsHaveNone) {
  for (float value : {0.0f, -0.0f, 0.75f, -3e38f, 1e-45f}) {
    for (const EntropyRange& range : {kChannel, kLayer, EntropyRange{EntropyRangeKind::quantile, 0.9}}) {
      const auto entropy = entropy_of(column(std::vector<float>(50, value)), range);
      ASSERT_OK(entropy);
      EXPECT_EQ(entropy->at(0), 0.0);
      EXPECT_FALSE(std::signbit(entropy->at(0)));
    }
  }
}

TEST(Entropy, UniformChannelIsNearLogBins) {
  std::vector<float> values(100'000);
  for (size_t k = 0; k < values.size(); ++k) values[k] = static_cast<float>(k) / 1000.0f - 20.0f;
  const auto entropy = entropy_of(column(values));
  ASSERT_OK(entropy);
  EXPECT_LE(entropy->at(0), std::log(100.0) + 1e-12);
  EXPECT_NEAR(entropy->at(0), std::log(100.0), 1e-4);
}

// Powers of two and small whole offsets keep every value exact, so the bins must be the very same.
TEST(Entropy, ChannelRangeIgnoresOffsetAndScale) {
  std::mt19937 random(2);
  Matrix<float> inputs(500, 3);
  for (int64_t t = 0; t < inputs.rows(); ++t) {
    const auto value = static_cast<float>(random() % 4096) / 64.0f;
    inputs(t, 0) = value;
    inputs(t, 1) = value + 128.0f;
    inputs(t, 2) = value * 1024.0f;
  }
  const auto entropy = entropy_of(inputs);
  ASSERT_OK(entropy);
  EXPECT_GT(entropy->at(0), 4.0);
  EXPECT_EQ(entropy->at(0), entropy->at(1));
  EXPECT_EQ(entropy->at(0), entropy->at(2));
  // With one range for the layer the narrow channels fall into a few bins.
  const auto layer = entropy_of(inputs, kLayer);
  ASSERT_OK(layer);
  EXPECT_LT(layer->at(0), layer->at(2));
}

TEST(Entropy, QuantileRangeClampsOutliers) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> values(20'000);
  for (float& value : values) value = normal(random);
  const double clean = entropy_of(column(values))->at(0);
  for (size_t k = 0; k < 10; ++k) values[k] = k % 2 == 0 ? 40.0f : -40.0f;
  const double hurt = entropy_of(column(values))->at(0);
  const auto robust = entropy_of(column(values), {EntropyRangeKind::quantile, 0.999});
  ASSERT_OK(robust);
  EXPECT_LT(hurt, clean - 1.0);            // nearly everything lies in a few bins
  EXPECT_GT(robust->at(0), clean - 0.05);  // the bins cover about +-3 sigma again
  EXPECT_LE(robust->at(0), std::log(100.0));
}

// 0 ... 999 once each; q = 0.9: the bins cover about 100 ... 899 and the end bins take a tenth each on top.
TEST(Entropy, QuantileRangeWorkedExample) {
  std::vector<float> values(1000);
  for (size_t k = 0; k < values.size(); ++k) values[k] = static_cast<float>(k);
  const auto entropy = entropy_of(column(values), {EntropyRangeKind::quantile, 0.9}, 8);
  ASSERT_OK(entropy);
  const double expected = -6 * 0.1 * std::log(0.1) - 2 * 0.2 * std::log(0.2);
  EXPECT_NEAR(entropy->at(0), expected, 0.01);
}

TEST(Entropy, MergedPartsEqualTheWhole) {
  const Matrix<float> inputs = random_inputs(301, 70, 4);
  for (const EntropyRange& range : {kChannel, kLayer, EntropyRange{EntropyRangeKind::quantile, 0.99}}) {
    const auto whole = entropy_of(inputs, range);
    ASSERT_OK(whole);
    ChannelRanges first(70), second(70);
    first.add(inputs.view().rows_from(0, 100));
    second.add(inputs.view().rows_from(100, 201));
    first.merge(second);
    auto counts = first.histograms(range);
    auto more = first.histograms(range);
    ASSERT_OK(counts);
    counts->add(inputs.view().rows_from(200, 101));
    more->add(inputs.view().rows_from(0, 200));
    counts->merge(*more);
    EXPECT_EQ(counts->entropy(), *whole);
  }
}

TEST(Entropy, SameForAnyThreadCount) {
  const Matrix<float> inputs = random_inputs(64, 333, 5);
  set_thread_count(1);
  const auto one = entropy_of(inputs);
  set_thread_count(2);
  const auto two = entropy_of(inputs);
  set_thread_count(0);
  ASSERT_OK(one);
  EXPECT_EQ(*one, *two);
}

TEST(Entropy, RefusesInputsThatAreNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    Matrix<float> inputs = random_inputs(10, 40, 6);
    inputs(7, 33) = bad;
    EXPECT_FAILURE(entropy_of(inputs), StatusKind::numeric, "input channel 33");
  }
  EXPECT_FAILURE(entropy_of(Matrix<float>(0, 4)), StatusKind::invalid_argument, "got none");
}

// The second pass may see what the first did not: nothing may be written outside the counters.
TEST(Entropy, ValuesOutsideTheRangeAreClamped) {
  ChannelHistograms histograms({0.0f}, {1.0f}, 4);
  histograms.add(column({-9, 9, 3e38f, -3e38f, std::numeric_limits<float>::quiet_NaN()}).view());
  EXPECT_NEAR(histograms.entropy()[0], -0.6 * std::log(0.6) - 0.4 * std::log(0.4), 1e-12);
}

TEST(Entropy, ExtremesOfFloat) {
  const auto entropy = entropy_of(column({-3e38f, 3e38f, -3e38f, 3e38f}));  // the range itself overflows a float
  ASSERT_OK(entropy);
  EXPECT_NEAR(entropy->at(0), std::log(2.0), 1e-15);
}

TEST(EntropyRange, ParsesAndPrints) {
  for (const char* text : {"channel", "layer", "quantile(0.999)", "quantile(0.75)"}) {
    const auto range = EntropyRange::parse(text);
    ASSERT_OK(range);
    EXPECT_EQ(range->text(), text);
  }
  EXPECT_EQ(*EntropyRange::parse("quantile(0.75)"), (EntropyRange{EntropyRangeKind::quantile, 0.75}));
  for (const char* text : {"", "Channel", "layers", "quantile", "quantile()", "quantile(1)", "quantile(0.5)",
                           "quantile(2)", "quantile(nan)", "quantile(inf)", "quantile(-0.9)", "quantile(0.9",
                           "quantile(0.9x)", "quantile(0.9))", "quantile( 0.9)"})
    EXPECT_FAILURE(EntropyRange::parse(text), StatusKind::invalid_argument, "expected channel, layer") << text;
}

TEST(Entropy, Golden) {
  for (const GoldenCase& golden : golden_cases()) {
    for (const EntropyRange& range : {kChannel, kLayer}) {
      const auto entropy = entropy_of(golden.inputs, range);
      ASSERT_OK(entropy);
      const auto expected = golden.values<double>("entropy." + range.text());
      ASSERT_EQ(entropy->size(), expected.size());
      // No value of the fixtures is near a bin edge: only the order of a hundred additions differs.
      for (size_t j = 0; j < expected.size(); ++j) EXPECT_NEAR(entropy->at(j), expected[j], 1e-13) << golden.name << j;
    }
  }
}

}  // namespace
}  // namespace esparse

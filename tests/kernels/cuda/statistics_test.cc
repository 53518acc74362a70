// Statistics kernels against plain loops in double.
#include "kernels/cuda/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/dtype.h"
#include "kernels/cuda/test_backend.h"

namespace esparse::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <typename T>
T rounded(float value) {
  if constexpr (std::is_same_v<T, bf16>) return to_bf16(value);
  if constexpr (std::is_same_v<T, f16>) return to_f16(value);
  if constexpr (std::is_same_v<T, float>) return value;
}
double widened(float value) { return value; }
double widened(bf16 value) { return to_f32(value); }
double widened(f16 value) { return to_f32(value); }

template <typename T>
constexpr Element kElement = Element::f32;
template <>
constexpr Element kElement<bf16> = Element::bf16;
template <>
constexpr Element kElement<f16> = Element::f16;

// Rows of some activations with room behind each that nobody may read: NaN.
template <typename T>
struct Rows {
  int64_t tokens, channels, stride;
  std::vector<T> values;
  double at(int64_t t, int64_t c) const { return widened(values[t * stride + c]); }
};

template <typename T>
Rows<T> random_rows(int64_t tokens, int64_t channels, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Rows<T> rows{tokens, channels, channels + 3, {}};
  rows.values.assign(tokens * rows.stride, rounded<T>(std::nanf("")));
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t c = 0; c < channels; ++c)
      rows.values[t * rows.stride + c] = rounded<T>(normal(random) * static_cast<float>(c + 1));
  return rows;
}

template <typename T>
DeviceRows on_gpu(const Rows<T>& rows, const TestArray<T>& data) {
  return {data.data(), kElement<T>, rows.tokens, rows.channels, rows.stride};
}

template <typename T>
class CudaStatistics : public testing::Test {};
using Elements = testing::Types<bf16, f16, float>;
TYPED_TEST_SUITE(CudaStatistics, Elements);

TYPED_TEST(CudaStatistics, MomentsAreSumsInDouble) {
  for (const int64_t channels : {1, 33, 300})
    for (const int64_t tokens : {1, 63, 64, 65, 200}) {
      const auto first = random_rows<TypeParam>(tokens, channels, 1), second = random_rows<TypeParam>(7, channels, 2);
      const TestArray<TypeParam> one(first.values), two(second.values);
      const TestArray<ChannelMoments> partial(channels * 4), total(channels);
      const StatisticsKernels& kernels = *test_backend().statistics;
      ASSERT_TRUE(launched(kernels.moments({on_gpu(first, one), partial.data(), total.data(), true}, test_stream())));
      ASSERT_TRUE(launched(kernels.moments({on_gpu(second, two), partial.data(), total.data(), false}, test_stream())));
      const auto result = total.values();
      for (int64_t c = 0; c < channels; ++c) {
        double squares = 0, sum = 0, sizes = 0, minimum = kInfinity, maximum = -kInfinity;
        for (const auto* rows : {&first, &second})
          for (int64_t t = 0; t < rows->tokens; ++t) {
            const double x = rows->at(t, c);
            squares += x * x, sum += x, sizes += std::abs(x);
            minimum = std::min(minimum, x), maximum = std::max(maximum, x);
          }
        // Two orders of adding n doubles: n epsilon of the sum of sizes.
        const double epsilon = static_cast<double>(tokens + 7) * std::numeric_limits<double>::epsilon();
        EXPECT_NEAR(result[c].squares, squares, epsilon * squares);
        EXPECT_NEAR(result[c].sum, sum, epsilon * sizes);
        EXPECT_EQ(result[c].minimum, minimum);
        EXPECT_EQ(result[c].maximum, maximum);
      }
    }
}

TYPED_TEST(CudaStatistics, MomentsTellWhatIsNotFinite) {
  auto rows = random_rows<TypeParam>(70, 4, 3);
  rows.values[68 * rows.stride + 1] = rounded<TypeParam>(std::nanf(""));
  rows.values[2 * rows.stride + 2] = rounded<TypeParam>(kInfinity);
  const TestArray<TypeParam> data(rows.values);
  const TestArray<ChannelMoments> partial(8), total(4);
  ASSERT_TRUE(launched(
      test_backend().statistics->moments({on_gpu(rows, data), partial.data(), total.data(), true}, test_stream())));
  const auto result = total.values();
  for (int c = 0; c < 4; ++c) EXPECT_EQ(std::isfinite(result[c].squares), c == 0 || c == 3) << c;
}

TYPED_TEST(CudaStatistics, HistogramsCountExactly) {
  for (const int bins : {1, 2, 100, 4096})  // 4096 do not fit shared memory
    for (const int64_t channels : {1, 40}) {
      const auto rows = random_rows<TypeParam>(300, channels, 4);
      std::vector<float> minimum(channels), maximum(channels);
      for (int64_t c = 0; c < channels; ++c) {
        minimum[c] = kInfinity, maximum[c] = -kInfinity;
        for (int64_t t = 0; t < rows.tokens; ++t) {
          minimum[c] = std::min(minimum[c], static_cast<float>(rows.at(t, c)));
          maximum[c] = std::max(maximum[c], static_cast<float>(rows.at(t, c)));
        }
        if (c == 3) minimum[c] += 0.5f, maximum[c] -= 0.5f;  // the end bins take what lies outside
        if (c == 4) minimum[c] = maximum[c];                 // a constant channel
      }
      const TestArray<TypeParam> data(rows.values);
      const TestArray<float> low(minimum), high(maximum);
      TestArray<uint32_t> counts(channels * bins);
      counts.set(std::vector<uint32_t>(channels * bins, 5));
      ASSERT_TRUE(launched(test_backend().statistics->histogram(
          {on_gpu(rows, data), low.data(), high.data(), counts.data(), bins}, test_stream())));
      std::vector<uint32_t> expected(channels * bins, 5);
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t t = 0; t < rows.tokens; ++t) {
          const double extent = static_cast<double>(maximum[c]) - minimum[c];
          const double place = extent > 0 ? (rows.at(t, c) - minimum[c]) * (bins / extent) : 0;
          ++expected[c * bins + static_cast<int64_t>(std::clamp(std::floor(place), 0.0, bins - 1.0))];
        }
      EXPECT_EQ(counts.values(), expected) << bins;
    }
}

TYPED_TEST(CudaStatistics, TransposesAndPads) {
  for (const int64_t channels : {1, 31, 70})
    for (const int64_t tokens : {1, 32, 45}) {
      const auto rows = random_rows<TypeParam>(tokens, channels, 5);
      const int64_t padded = (tokens + 7) / 8 * 8, stride = padded + 8;
      const TestArray<TypeParam> data(rows.values), same(channels * stride);
      const TestArray<float> wide(channels * stride);
      const StatisticsKernels& kernels = *test_backend().statistics;
      const DeviceRows x = on_gpu(rows, data);
      ASSERT_TRUE(
          launched(kernels.transpose({x, nullptr, same.data(), kElement<TypeParam>, padded, stride}, test_stream())));
      ASSERT_TRUE(launched(kernels.transpose({x, nullptr, wide.data(), Element::f32, padded, stride}, test_stream())));
      const auto same_values = same.values();
      const auto wide_values = wide.values();
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t t = 0; t < stride; ++t) {
          const double got = widened(same_values[c * stride + t]);
          if (t >= padded) {
            EXPECT_TRUE(std::isnan(got)) << "written behind the padding";
            continue;
          }
          EXPECT_EQ(got, t < tokens ? rows.at(t, c) : 0.0);
          EXPECT_EQ(wide_values[c * stride + t], t < tokens ? rows.at(t, c) : 0.0);
        }
    }
}

TEST(CudaStatisticsF32, TransposesADifference) {
  const auto rows = random_rows<float>(37, 35, 6), less = random_rows<float>(37, 35, 7);
  const TestArray<float> x(rows.values), minus(less.values), y(35 * 40);
  ASSERT_TRUE(launched(test_backend().statistics->transpose(
      {on_gpu(rows, x), minus.data(), y.data(), Element::f32, 40, 40}, test_stream())));
  const auto values = y.values();
  for (int64_t c = 0; c < 35; ++c)
    for (int64_t t = 0; t < 40; ++t)
      EXPECT_EQ(values[c * 40 + t], t < 37 ? static_cast<float>(rows.at(t, c) - less.at(t, c)) : 0.0f);
}

TYPED_TEST(CudaStatistics, TakesRowsInSteps) {
  const auto rows = random_rows<TypeParam>(20, 300, 8);
  const TestArray<TypeParam> data(rows.values);
  const TestArray<float> y(4 * 300);
  ASSERT_TRUE(launched(test_backend().statistics->take_rows({on_gpu(rows, data), 2, 5, 4, y.data()}, test_stream())));
  const auto values = y.values();
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t c = 0; c < 300; ++c) EXPECT_EQ(values[i * 300 + c], rows.at(2 + 5 * i, c));
}

}  // namespace
}  // namespace esparse::cuda

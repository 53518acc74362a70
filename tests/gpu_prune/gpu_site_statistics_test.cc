// The statistics of a site gathered on the GPU beside those of the CPU, which tests/calibrate checks, and second
// moments against sums in double.
#include "gpu_prune/gpu_site_statistics.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "gpu_prune/gpu_testing.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

using cuda::Element;

constexpr std::array kWindows = {37, 64, 1, 200};  // tokens
constexpr int64_t kChannels = 45, kHidden = 21;

Matrix<float> random_inputs(int64_t tokens, int64_t channels, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Matrix<float> inputs(tokens, channels);
  for (float& value : inputs.values()) value = normal(random);
  for (int64_t t = 0; t < tokens && channels > 3; ++t) inputs(t, 3) = 0.25f;  // a constant channel
  return inputs;
}

int64_t total_tokens() {
  int64_t total = 0;
  for (const int tokens : kWindows) total += tokens;
  return total;
}

SiteRequest asking(const StatisticsNeeds& needs) { return {needs, {}, kEntropyBins}; }

// Both gatherings of the same windows.
struct Gathered {
  InputStatistics gpu, cpu;
};

Gathered gather(const SiteRequest& request, Element type) {
  const auto device = open_test_device();
  GpuSiteStatistics gpu(*device, request, total_tokens());
  SiteStatistics cpu(request, total_tokens());
  std::vector<DeviceMatrix> windows;
  for (unsigned w = 0; w < kWindows.size(); ++w)
    windows.emplace_back(*device, random_inputs(kWindows[w], kChannels, w), type);
  for (unsigned w = 0; w < kWindows.size(); ++w) {
    EXPECT_OK(gpu.add(windows[w].rows()));
    cpu.add(windows[w].rounded().view());
    if (!request.needs.cross) continue;
    const DeviceMatrix dense(*device, random_inputs(kWindows[w], kChannels, 10 + w), type);
    const DeviceMatrix stream(*device, random_inputs(kWindows[w], kHidden, 20 + w), Element::f32);
    const DeviceMatrix dense_stream(*device, random_inputs(kWindows[w], kHidden, 30 + w), Element::f32);
    EXPECT_OK(gpu.add_dense(windows[w].rows(), dense.rows(), stream.as_f32(), dense_stream.as_f32(), kHidden));
    cpu.add_dense(windows[w].rounded().view(), dense.rounded().view(), stream.rounded().view(),
                  dense_stream.rounded().view());
  }
  if (request.needs.entropy) {
    EXPECT_OK(gpu.begin_counting());
    EXPECT_OK(cpu.begin_counting());
    for (const DeviceMatrix& window : windows) {
      EXPECT_OK(gpu.count(window.rows()));
      cpu.count(window.rounded().view());
    }
  }
  auto of_gpu = gpu.finish(), of_cpu = cpu.finish();
  EXPECT_OK(of_gpu);
  EXPECT_OK(of_cpu);
  return {std::move(of_gpu).value(), std::move(of_cpu).value()};
}

void expect_near(const std::vector<double>& got, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], tolerance) << i;
}

// Sums of n products of about 1 in f32, in two orders.
void expect_near(const Matrix<float>& got, const Matrix<float>& expected) {
  ASSERT_EQ(got.rows(), expected.rows());
  ASSERT_EQ(got.cols(), expected.cols());
  ASSERT_GT(got.values().size(), 0u);
  const double n = static_cast<double>(total_tokens());
  for (size_t i = 0; i < got.values().size(); ++i)
    ASSERT_NEAR(got.values()[i], expected.values()[i], n * std::numeric_limits<float>::epsilon() * std::sqrt(n)) << i;
}

class GpuSiteStatisticsOf : public testing::TestWithParam<Element> {};

TEST_P(GpuSiteStatisticsOf, SumsAndSampleAreThoseOfTheCpu) {
  const auto [gpu, cpu] = gather(asking({.norms = true, .sums = true}), GetParam());
  EXPECT_EQ(gpu.sequences, cpu.sequences);
  EXPECT_EQ(gpu.tokens, cpu.tokens);
  expect_near(gpu.sum_squares, cpu.sum_squares, 1e-11);
  expect_near(gpu.sum, cpu.sum, 1e-11);
  ASSERT_EQ(gpu.sample.rows(), cpu.sample.rows());
  EXPECT_TRUE(std::ranges::equal(gpu.sample.values(), cpu.sample.values()));
  EXPECT_TRUE(gpu.entropy.empty());
  EXPECT_EQ(gpu.gram.rows(), 0);
}

TEST_P(GpuSiteStatisticsOf, EntropyIsEqual) {
  for (const char* range : {"channel", "layer", "quantile(0.9)"})
    for (const int bins : {5, 100}) {
      const SiteRequest request{{.norms = true, .entropy = true}, *EntropyRange::parse(range), bins};
      const auto [gpu, cpu] = gather(request, GetParam());
      EXPECT_EQ(gpu.entropy, cpu.entropy) << range;
      EXPECT_GT(gpu.entropy[0], 1.0);
      EXPECT_TRUE(gpu.sum.empty());
    }
}

TEST_P(GpuSiteStatisticsOf, SecondMomentsAreThoseOfTheCpu) {
  const auto [gpu, cpu] = gather(asking({.gram = true, .cross = true, .residual = true}), GetParam());
  expect_near(gpu.gram, cpu.gram);
  expect_near(gpu.cross, cpu.cross);
  expect_near(gpu.residual, cpu.residual);
  for (int64_t i = 0; i < kChannels; ++i)
    for (int64_t k = 0; k < kChannels; ++k) ASSERT_EQ(gpu.gram(i, k), gpu.gram(k, i));
}

INSTANTIATE_TEST_SUITE_P(Types, GpuSiteStatisticsOf, testing::Values(Element::bf16, Element::f16, Element::f32));

// More channels than are multiplied at once: the strips of the Gram matrix meet.
TEST(GpuSiteStatistics, GramOfManyChannels) {
  const auto device = open_test_device();
  const int64_t channels = 1100, tokens = 3;
  const SiteRequest request = asking({.gram = true});
  GpuSiteStatistics gpu(*device, request, tokens);
  const DeviceMatrix inputs(*device, random_inputs(tokens, channels, 1), Element::bf16);
  ASSERT_OK(gpu.add(inputs.rows()));
  const auto statistics = gpu.finish();
  ASSERT_OK(statistics);
  for (int64_t i = 0; i < channels; ++i)
    for (int64_t k = 0; k < channels; ++k) {
      double expected = 0;
      for (int64_t t = 0; t < tokens; ++t) expected += double{inputs.rounded()(t, i)} * inputs.rounded()(t, k);
      ASSERT_NEAR(statistics->gram(i, k), expected, 1e-5) << i << " " << k;
    }
}

TEST(GpuSiteStatistics, RefusesWhatIsNotFinite) {
  const auto device = open_test_device();
  Matrix<float> inputs = random_inputs(10, 5, 1);
  inputs(7, 4) = std::nanf("");
  const DeviceMatrix uploaded(*device, inputs, Element::f32);
  GpuSiteStatistics gpu(*device, asking({.norms = true, .entropy = true}), 10);
  ASSERT_OK(gpu.add(uploaded.rows()));
  EXPECT_EQ(gpu.begin_counting().message(), "input channel 4 is not finite");
  EXPECT_EQ(gpu.finish().status().kind(), StatusKind::numeric);
}

}  // namespace
}  // namespace esparse

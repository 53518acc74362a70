// Kernels against plain loops in double.
#include "kernels/cuda/elementwise.h"

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/dtype.h"
#include "kernels/cuda/test_backend.h"

namespace esparse::cuda {
namespace {

TEST(CudaElementwise, RmsNormMatchesDouble) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const int width : {1, 31, 64, 100, 1024, 1500}) {
    const int tokens = 3;
    std::vector<float> x(tokens * width), gain(width);
    for (float& value : x) value = normal(random);
    for (float& value : gain) value = 1 + 0.1f * normal(random);
    std::vector<int32_t> order(width);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    const TestArray<float> device_x(x), device_gain(gain);
    const TestArray<int32_t> device_order(order);
    const TestArray<bf16> device_y(x.size());
    const RmsNormArgs args{
        device_x.data(), device_gain.data(), device_order.data(), device_y.data(), Element::bf16, tokens, width, 1e-5f};
    ASSERT_TRUE(launched(test_backend().elementwise->rms_norm(args, test_stream())));
    const std::vector<bf16> y = device_y.values();
    for (int t = 0; t < tokens; ++t) {
      double squares = 0;
      for (int k = 0; k < width; ++k) squares += double{x[t * width + k]} * x[t * width + k];
      const double scale = 1 / std::sqrt(squares / width + 1e-5);
      for (int k = 0; k < width; ++k) {
        const double expected = gain[order[k]] * x[t * width + order[k]] * scale;
        EXPECT_NEAR(to_f32(y[t * width + k]), expected, 1e-6 + std::abs(expected) / 256)
            << width << " " << t << " " << k;
      }
    }
  }
}

TEST(CudaElementwise, LayerNormMatchesDouble) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (const int width : {1, 31, 100, 1500})
    for (const bool affine : {false, true}) {
      const int tokens = 2;
      std::vector<float> x(tokens * width), gain(width), bias(width);
      for (float& value : x) value = 3 + normal(random);
      for (float& value : gain) value = 1 + 0.1f * normal(random);
      for (float& value : bias) value = normal(random);
      std::vector<int32_t> order(width);
      std::iota(order.begin(), order.end(), 0);
      std::shuffle(order.begin(), order.end(), random);
      const TestArray<float> device_x(x), device_gain(gain), device_bias(bias), device_y(x.size());
      const TestArray<int32_t> device_order(order);
      LayerNormArgs args{device_x.data(),
                         affine ? device_gain.data() : nullptr,
                         affine ? device_bias.data() : nullptr,
                         device_order.data(),
                         device_y.data(),
                         Element::f32,
                         tokens,
                         width,
                         1e-5f};
      ASSERT_TRUE(launched(test_backend().elementwise->layer_norm(args, test_stream())));
      args.y = device_x.data(), args.order = nullptr;
      ASSERT_TRUE(launched(test_backend().elementwise->layer_norm(args, test_stream())));
      const std::vector<float> y = device_y.values(), in_place = device_x.values();
      for (int t = 0; t < tokens; ++t) {
        const float* row = x.data() + t * width;
        double mean = 0, variance = 0;
        for (int k = 0; k < width; ++k) mean += double{row[k]} / width;
        for (int k = 0; k < width; ++k) variance += (row[k] - mean) * (row[k] - mean) / width;
        const auto expected = [&](int k) {
          return (row[k] - mean) / std::sqrt(variance + 1e-5) * (affine ? gain[k] : 1) + (affine ? bias[k] : 0);
        };
        for (int k = 0; k < width; ++k) {
          EXPECT_NEAR(y[t * width + k], expected(order[k]), 2e-5) << width << " " << k;
          EXPECT_NEAR(in_place[t * width + k], expected(k), 2e-5) << width << " " << k;
        }
      }
    }
}

TEST(CudaElementwise, GatherRoundsInTheOrder) {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6.0078125f};
  const std::vector<int32_t> order = {2, 0, 1};
  const TestArray<float> device_x(x);
  const TestArray<int32_t> device_order(order);
  const TestArray<bf16> device_y(6), device_plain(6);
  const ElementwiseKernels& kernels = *test_backend().elementwise;
  ASSERT_TRUE(launched(
      kernels.gather({device_x.data(), device_order.data(), device_y.data(), Element::bf16, 2, 3}, test_stream())));
  ASSERT_TRUE(
      launched(kernels.gather({device_x.data(), nullptr, device_plain.data(), Element::bf16, 2, 3}, test_stream())));
  const std::vector<bf16> y = device_y.values(), plain = device_plain.values();
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(y[i].bits, to_bf16(x[i / 3 * 3 + order[i % 3]]).bits);
    EXPECT_EQ(plain[i].bits, to_bf16(x[i]).bits);
  }
}

TEST(CudaElementwise, ActivationsMatchDouble) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 2);
  for (const int width : {1, 24, 31, 1032, 2000})
    for (const ActivationKind kind : {ActivationKind::gated_silu, ActivationKind::relu, ActivationKind::gelu}) {
      const int tokens = 2, columns = kind == ActivationKind::gated_silu ? 2 * width : width;
      std::vector<f16> x(tokens * columns);
      for (f16& value : x) value = to_f16(normal(random));
      const TestArray<f16> device_x(x), device_y(tokens * width);
      const ActivationArgs args{device_x.data(), device_y.data(), Element::f16, kind, tokens, width};
      ASSERT_TRUE(launched(test_backend().elementwise->activation(args, test_stream())));
      const std::vector<f16> y = device_y.values();
      for (int t = 0; t < tokens; ++t)
        for (int k = 0; k < width; ++k) {
          const double a = to_f32(x[t * columns + k]);
          const double expected = kind == ActivationKind::relu ? std::max(a, 0.0)
                                  : kind == ActivationKind::gelu
                                      ? 0.5 * a * (1 + std::erf(a / std::sqrt(2.0)))
                                      : a / (1 + std::exp(-a)) * to_f32(x[t * columns + width + k]);
          EXPECT_NEAR(to_f32(y[t * width + k]), expected, 1e-6 + std::abs(expected) * 0x1p-10) << width << " " << k;
        }
    }
}

}  // namespace
}  // namespace esparse::cuda

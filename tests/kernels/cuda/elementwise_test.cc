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

}  // namespace
}  // namespace esparse::cuda

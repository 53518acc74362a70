#include "kernels/linear.h"

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "kernels/bf16_gemm.h"
#include "kernels/reference.h"

namespace esparse {
namespace {

using namespace testing_support;

struct Case {
  DType dtype;
  bool packed;
};

class LinearTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { set_thread_count(2); }
};

// y against double loops, for token counts on both sides of the few/many border and rows that fill no tile.
TEST_P(LinearTest, AgreesWithReference) {
  const NmPattern pattern{4, 8};
  for (const int64_t out : {1, 7, 64, 65, 200})
    for (const int64_t in : {3, 8, 12, 64, 135, 172})
      for (const int64_t tokens : {1, 2, 6, 7, 16, 33}) {
        auto values = random_values(out * in, out + in);
        if (GetParam().packed) make_nm(values, in, pattern, 5);
        values = rounded(GetParam().dtype, values);
        const auto bytes = stored(GetParam().dtype, values);
        auto packed = pack_nm(pattern, GetParam().dtype, bytes, out, in);
        const WeightView weight = GetParam().packed ? WeightView(packed->view())
                                                    : WeightView(DenseView{GetParam().dtype, out, in, bytes.data()});
        const auto x = random_values(tokens * in, 3), bias = random_values(out, 4);
        Matrix<float> y(tokens, out);
        for (float& value : y.values()) value = std::numeric_limits<float>::quiet_NaN();
        linear(weight, MatrixView<const float>(x.data(), tokens, in), bias, y.view());
        // Where the processor has it, oneDNN's bf16 product rounds the inputs of dense bf16 weights.
        const bool rounds = has_bf16_gemm() && GetParam().dtype == DType::bf16 && !GetParam().packed && tokens > 8;
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t o = 0; o < out; ++o) {
            auto reference = dot_reference(values.data() + o * in, x.data() + t * in, in);
            reference.value += bias[o];
            reference.magnitude += std::abs(bias[o]);
            ASSERT_NEAR(y(t, o), reference.value,
                        dot_tolerance(reference, in) + (rounds ? 0x1p-9 * reference.magnitude : 0))
                << out << "x" << in << " tokens " << tokens << " at " << t << "," << o;
          }
      }
}

TEST_P(LinearTest, SameBitsForEveryThreadCount) {
  const int64_t out = 700, in = 258;  // not a whole number of groups
  auto values = random_values(out * in, 1);
  make_nm(values, in, {2, 4}, 2);
  const auto bytes = stored(GetParam().dtype, values);
  auto packed = pack_nm({2, 4}, GetParam().dtype, bytes, out, in);
  const WeightView weight =
      GetParam().packed ? WeightView(packed->view()) : WeightView(DenseView{GetParam().dtype, out, in, bytes.data()});
  for (const int64_t tokens : {1, 3, 130, 600}) {
    const auto x = random_values(tokens * in, 3);
    std::vector<Matrix<float>> results;
    for (const int threads : {1, 2, 3, 5}) {
      set_thread_count(threads);
      results.emplace_back(tokens, out);
      linear(weight, MatrixView<const float>(x.data(), tokens, in), {}, results.back().view());
    }
    for (size_t i = 1; i < results.size(); ++i)
      EXPECT_EQ(0, std::memcmp(results[0].data(), results[i].data(), results[0].values().size_bytes()))
          << tokens << " tokens, variant " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Weights, LinearTest,
                         testing::Values(Case{DType::f32, false}, Case{DType::bf16, false}, Case{DType::f16, false},
                                         Case{DType::f32, true}, Case{DType::bf16, true}, Case{DType::f16, true}),
                         [](const auto& instance) {
                           return std::string(dtype_name(instance.param.dtype)) +
                                  (instance.param.packed ? "_packed" : "_dense");
                         });

}  // namespace
}  // namespace esparse

#include "kernels/bf16_gemm.h"

#include <gtest/gtest.h>

#include "kernels/dense_gemm.h"
#include "kernels/isa.h"
#include "kernels/reference.h"

namespace esparse {
namespace {

using namespace testing_support;

TEST(Bf16Gemm, AgreesWithRoundedInputsOrStandsAside) {
  const int64_t rows = 300, columns = 70, tokens = 37;
  const auto values = rounded(DType::bf16, random_values(rows * columns, 1));
  const auto bytes = stored(DType::bf16, values);
  const DenseView weight{DType::bf16, rows, columns, bytes.data()};
  const auto x = random_matrix(tokens, columns, 2);
  const auto bias = random_values(rows, 3);
  Matrix<float> y(tokens, rows);
  const bool done = bf16_gemm(weight, x.view(), bias, y.view());
  EXPECT_EQ(done, has_bf16_gemm());
  EXPECT_TRUE(current_isa() == Isa::avx512_bf16 || !done);
  // dense_gemm() must be right either way: with the inputs as they are, or rounded.
  dense_gemm(weight, x.view(), bias, y.view());
  const auto used = done ? rounded(DType::bf16, {x.values().begin(), x.values().end()})
                         : std::vector<float>(x.values().begin(), x.values().end());
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t r = 0; r < rows; ++r) {
      auto reference = dot_reference(values.data() + r * columns, used.data() + t * columns, columns);
      reference.value += bias[r];
      reference.magnitude += std::abs(bias[r]);
      ASSERT_NEAR(y(t, r), reference.value, dot_tolerance(reference, columns)) << t << "," << r;
    }
}

}  // namespace
}  // namespace esparse

#include <gtest/gtest.h>

#include <limits>

#include "base/parallel.h"
#include "kernels/dense_kernels.h"
#include "kernels/few.h"
#include "kernels/reference.h"
#include "kernels/simd/emulated.h"
#include "kernels/simd/few_dense.h"

namespace esparse {
namespace {

using namespace testing_support;

// Sixteen lanes take the other choices of the templates (six tokens in registers); no machine is needed for them.
constexpr DenseKernels kEmulated16 = {"emulated16", simd::FewDense<simd::Emulated<16>>::multiply};

std::vector<const DenseKernels*> tables() {
  auto tables = usable_tables<DenseKernels>();
  tables.push_back(&kEmulated16);
  return tables;
}

constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

// A weight that stands one byte off, in memory that ends with it: the address sanitizer sees any read beyond.
struct Stored {
  Stored(DType dtype, int64_t rows, int64_t columns, std::vector<float> wanted)
      : values(rounded(dtype, std::move(wanted))), bytes(values.size() * dtype_bytes(dtype) + 1) {
    convert_from_f32(dtype, values, bytes.data() + 1);
    view = {dtype, rows, columns, bytes.data() + 1};
  }
  std::vector<float> values;
  std::vector<std::byte> bytes;
  DenseView view;
};

class FewDenseTest : public testing::TestWithParam<std::tuple<const DenseKernels*, DType>> {
 protected:
  const DenseKernels& kernels() const { return *std::get<0>(GetParam()); }
  DType dtype() const { return std::get<1>(GetParam()); }

  // y [tokens, rows + 3], poisoned before and checked to be so behind the rows.
  Matrix<float> multiply(const Stored& weight, MatrixView<const float> x, const float* bias) const {
    const int64_t rows = weight.view.out_features;
    Matrix<float> y(x.rows, rows + 3);
    for (float& value : y.values()) value = kPoison;
    kernels().multiply({.dtype = dtype(),
                        .weight = weight.view.data,
                        .row_bytes = weight.view.row_bytes(),
                        .rows = rows,
                        .in_features = x.cols,
                        .x = x.data,
                        .x_stride = x.stride,
                        .tokens = x.rows,
                        .bias = bias,
                        .y = y.data(),
                        .y_stride = rows + 3});
    for (int64_t t = 0; t < x.rows; ++t)
      for (int64_t r = rows; r < rows + 3; ++r) EXPECT_TRUE(std::isnan(y(t, r))) << "wrote beyond the rows";
    return y;
  }
};

TEST_P(FewDenseTest, EveryTailAndNumberOfTokens) {
  std::vector<int64_t> widths = {128, 511, 512, 513, 544, 1027};  // around the chunk of 512 columns too
  for (int64_t width = 0; width <= 37; ++width) widths.push_back(width);
  for (const int64_t columns : widths)
    for (const int64_t rows : {1, 3, 4, 5, 8, 11})
      for (int64_t tokens = 1; tokens <= kMaxDenseTokens; ++tokens) {
        const Stored weight(dtype(), rows, columns, random_values(rows * columns, columns + rows));
        const auto x = random_values(tokens * columns, 7), bias = random_values(rows, 8);
        const auto y = multiply(weight, {x.data(), tokens, columns}, bias.data());
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t r = 0; r < rows; ++r) {
            auto reference = dot_reference(weight.values.data() + r * columns, x.data() + t * columns, columns);
            reference.value += bias[r];
            reference.magnitude += std::abs(bias[r]);
            ASSERT_NEAR(y(t, r), reference.value, dot_tolerance(reference, columns))
                << rows << "x" << columns << ", " << tokens << " tokens, at " << t << "," << r;
          }
      }
}

TEST_P(FewDenseTest, TheSameBitsAloneAndAmongOthers) {
  for (const int64_t columns : {7, 40, 1031}) {
    const int64_t rows = 9;
    const Stored weight(dtype(), rows, columns, random_values(rows * columns, 3));
    const auto x = random_matrix(kMaxDenseTokens, columns, 4);
    for (int64_t tokens = 1; tokens <= kMaxDenseTokens; ++tokens) {
      const auto together = multiply(weight, x.view().rows_from(0, tokens), nullptr);
      for (int64_t t = 0; t < tokens; ++t) {
        const auto alone = multiply(weight, x.view().rows_from(t, 1), nullptr);
        for (int64_t r = 0; r < rows; ++r) ASSERT_EQ(together(t, r), alone(0, r)) << tokens << " tokens, " << t;
      }
    }
  }
}

// Rows of their own for each kind of value: a kernel that mixes rows would spoil the last one.
TEST_P(FewDenseTest, SpecialValues) {
  const float infinity = std::numeric_limits<float>::infinity();
  const int64_t columns = 21, rows = 5;  // a tail
  std::vector<float> values(rows * columns, 0.0f);
  values[0 * columns + 20] = infinity;
  values[1 * columns + 3] = kPoison;
  for (int64_t k = 0; k < columns; ++k) values[2 * columns + k] = -0.0f;
  values[3 * columns + 9] = 0x1p-24f;    // the smallest subnormal f16
  values[3 * columns + 20] = 0x1p-133f;  // and bf16
  for (int64_t k = 0; k < columns; ++k) values[4 * columns + k] = 1.0f;
  const Stored weight(dtype(), rows, columns, values);
  for (const int64_t tokens : {1, 2, 7}) {
    Matrix<float> x(tokens, columns);
    for (float& value : x.values()) value = 0x1p10f;
    const auto y = multiply(weight, x.view(), nullptr);
    for (int64_t t = 0; t < tokens; ++t) {
      EXPECT_EQ(y(t, 0), infinity);
      EXPECT_TRUE(std::isnan(y(t, 1)));
      EXPECT_EQ(y(t, 2), 0.0f);
      EXPECT_EQ(y(t, 3), 0x1p10f * weight.values[3 * columns + 9] + 0x1p10f * weight.values[3 * columns + 20]);
      EXPECT_EQ(y(t, 4), 21 * 0x1p10f);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, FewDenseTest,
                         testing::Combine(testing::ValuesIn(tables()),
                                          testing::Values(DType::f32, DType::f16, DType::bf16)),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)->isa) + "_" +
                                  std::string(dtype_name(std::get<1>(instance.param)));
                         });

// Beyond sixteen tokens the weight is read again; strided inputs and outputs; several pieces.
TEST(FewLinearDense, TokensStridesAndThreadCounts) {
  const int64_t rows = 1100, columns = 203;
  const Stored weight(DType::bf16, rows, columns, random_values(rows * columns, 1));
  const auto bias = random_values(rows, 2);
  for (int64_t tokens = 1; tokens <= 35; tokens += tokens < 17 ? 1 : 18) {
    const auto x = random_matrix(tokens, columns + 5, 3);
    std::vector<Matrix<float>> results;
    for (const int threads : {1, 2, 3, 16}) {
      set_thread_count(threads);
      results.emplace_back(tokens, rows + 7);
      for (float& value : results.back().values()) value = kPoison;
      few_linear(weight.view, x.view().cols_from(2, columns), bias, results.back().view().cols_from(4, rows));
    }
    for (const auto& result : results)
      ASSERT_EQ(0, std::memcmp(result.data(), results[0].data(), result.values().size_bytes())) << tokens << " tokens";
    for (int64_t t = 0; t < tokens; ++t) {
      for (const int64_t outside : {0, 3, 1104, 1106}) EXPECT_TRUE(std::isnan(results[0](t, outside)));
      for (int64_t r = 0; r < rows; ++r) {
        auto reference = dot_reference(weight.values.data() + r * columns, &x(t, 2), columns);
        reference.value += bias[r];
        reference.magnitude += std::abs(bias[r]);
        ASSERT_NEAR(results[0](t, r + 4), reference.value, dot_tolerance(reference, columns)) << t << "," << r;
      }
    }
  }
}

}  // namespace
}  // namespace esparse

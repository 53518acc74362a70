#include "kernels/bf16_gemm.h"

#include <gtest/gtest.h>

#include "kernels/dense_gemm.h"
#include "kernels/few.h"
#include "kernels/isa.h"
#include "kernels/reference.h"

namespace esparse {
namespace {

using namespace testing_support;

void expect_agrees(const WeightView& weight, const std::vector<float>& values, const char* form) {
  const int64_t rows = weight_out_features(weight), columns = weight_in_features(weight), tokens = 37;
  const auto x = random_matrix(tokens, columns, 2);
  const auto bias = random_values(rows, 3);
  Matrix<float> y(tokens, rows);
  const bool done = bf16_gemm(weight, x.view(), bias, y.view());
  EXPECT_EQ(done, has_bf16_gemm()) << form;
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
      ASSERT_NEAR(y(t, r), reference.value, dot_tolerance(reference, columns)) << form << " " << t << "," << r;
    }
}

// 300 rows: more than one piece of 256, the last one ragged, as are the tiles; 70 columns end within a group.
constexpr int64_t kRows = 300, kColumns = 70;

std::vector<float> values_of(NmPattern pattern) {
  auto values = random_values(kRows * kColumns, 1);
  make_nm(values, kColumns, pattern, 5);
  return rounded(DType::bf16, values);
}

TEST(Bf16Gemm, DenseAgreesWithRoundedInputsOrStandsAside) {
  const auto values = rounded(DType::bf16, random_values(kRows * kColumns, 1));
  const auto bytes = stored(DType::bf16, values);
  expect_agrees(DenseView{DType::bf16, kRows, kColumns, bytes.data()}, values, "dense");
}

TEST(Bf16Gemm, PackedFormsAreExpanded) {
  for (const NmPattern pattern : {NmPattern{5, 7}, {6, 8}, {4, 8}, {2, 8}, {3, 4}}) {
    const auto values = values_of(pattern);
    const auto packed = pack_nm(pattern, DType::bf16, stored(DType::bf16, values), kRows, kColumns);
    ASSERT_TRUE(packed.ok());
    expect_agrees(packed->view(), values, "rows with bits");
    if (!runs_in_tiles(packed->view())) continue;
    const NmTiles tiles = make_nm_tiles(packed->view());
    expect_agrees(tiles.view(), values, "tiles");
  }
  const auto values = values_of({3, 8});
  const auto bitmap = pack_bitmap(DType::bf16, stored(DType::bf16, values), kRows, kColumns);
  ASSERT_TRUE(bitmap.ok());
  expect_agrees(bitmap->view(), values, "bitmap");
}

TEST(Bf16Gemm, StandsAsideFromOtherTypes) {
  const auto bytes = stored(DType::f16, values_of({2, 4}));
  const auto x = random_matrix(3, kColumns, 2);
  Matrix<float> y(3, kRows);
  EXPECT_FALSE(bf16_gemm(DenseView{DType::f16, kRows, kColumns, bytes.data()}, x.view(), {}, y.view()));
}

}  // namespace
}  // namespace esparse

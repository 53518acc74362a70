#include "kernels/row_kernels.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/reference.h"

namespace esparse {
namespace {

using namespace testing_support;

class RowKernelsTest : public testing::TestWithParam<std::tuple<const RowKernels*, DType>> {
 protected:
  const RowKernels& kernels() const { return *std::get<0>(GetParam()); }
  DType dtype() const { return std::get<1>(GetParam()); }
};

TEST_P(RowKernelsTest, DotOfEveryTail) {
  for (int64_t count = 0; count <= 70; ++count) {
    // The exact size lets the address sanitizer see any read beyond.
    const auto a = random_values(count, count + 1), b = random_values(count, count + 1000);
    const auto reference = dot_reference(a.data(), b.data(), count);
    const double got = kernels().dot(a.data(), b.data(), count);
    EXPECT_NEAR(got, reference.value, dot_tolerance(reference, count)) << "count " << count;
  }
}

TEST_P(RowKernelsTest, WidenIsExact) {
  for (int64_t count = 1; count <= 40; ++count) {
    auto values = rounded(dtype(), random_values(count, count));
    values[0] = -0.0f;
    if (count > 2) values[2] = 5.9604645e-08f;  // the smallest f16 subnormal; exact in all three types
    const auto bytes = stored(dtype(), values);
    std::vector<float> target(count + 8, std::numeric_limits<float>::quiet_NaN());
    kernels().widen(dtype(), bytes.data(), target.data(), count);
    EXPECT_EQ(0, std::memcmp(target.data(), values.data(), count * sizeof(float))) << "count " << count;
    for (int64_t i = count; i < count + 8; ++i) EXPECT_TRUE(std::isnan(target[i])) << "wrote beyond the row";
  }
}

TEST_P(RowKernelsTest, PackedRowsExpandAndMultiply) {
  for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}, {1, 2}, {1, 4}, {3, 8}, {6, 8}, {8, 16}, {5, 7}, {16, 32}}) {
    std::vector<int64_t> widths = {129, 172, 255, 9 * pattern.group};
    for (int64_t width = 1; width <= 70; ++width) widths.push_back(width);
    for (const int64_t columns : widths) {
      const int64_t rows = 3;
      auto values = random_values(rows * columns, columns);
      make_nm(values, columns, pattern, columns + pattern.kept);
      values = rounded(dtype(), values);
      auto packed = pack_nm(pattern, dtype(), stored(dtype(), values), rows, columns);
      ASSERT_TRUE(packed.ok()) << packed.status().message();
      for (int64_t row = 0; row < rows; ++row) {
        std::vector<float> expanded(columns + 8, std::numeric_limits<float>::quiet_NaN());
        kernels().expand_bits(bit_rows(packed->view()), row, expanded.data());
        for (int64_t k = 0; k < columns; ++k)
          EXPECT_EQ(expanded[k], values[row * columns + k]) << pattern.text() << " row " << row << " column " << k;
        for (int64_t k = columns; k < columns + 8; ++k) EXPECT_TRUE(std::isnan(expanded[k])) << "wrote beyond the row";
      }
    }
  }
}

// All 6 masks of a 2:4 group and all 70 of a 4:8 group.
TEST_P(RowKernelsTest, EveryMask) {
  for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}}) {
    std::vector<float> values;
    for (unsigned mask = 0; mask < 1u << pattern.group; ++mask) {
      if (__builtin_popcount(mask) != pattern.kept) continue;
      for (int k = 0; k < pattern.group; ++k) values.push_back(mask >> k & 1 ? static_cast<float>(k + 1) : 0.0f);
    }
    const auto columns = static_cast<int64_t>(values.size());
    auto packed = pack_nm(pattern, dtype(), stored(dtype(), values), 1, columns);
    ASSERT_TRUE(packed.ok()) << packed.status().message();
    std::vector<float> expanded(columns);
    kernels().expand_bits(bit_rows(packed->view()), 0, expanded.data());
    EXPECT_EQ(expanded, values) << pattern.text();
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, RowKernelsTest,
                         testing::Combine(testing::ValuesIn(usable_tables<RowKernels>()),
                                          testing::Values(DType::f32, DType::f16, DType::bf16)),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)->isa) + "_" +
                                  std::string(dtype_name(std::get<1>(instance.param)));
                         });

TEST(IsaChoice, AnUnknownNameIsRefused) {
  setenv("ESPARSE_ISA", "avx9", 1);
  const Status status = check_isa_choice();
  unsetenv("ESPARSE_ISA");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("avx9"), std::string::npos);
  EXPECT_NE(status.message().find("portable"), std::string::npos);
  EXPECT_TRUE(check_isa_choice().ok());
}

}  // namespace
}  // namespace esparse

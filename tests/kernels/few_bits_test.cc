#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <numeric>

#include "base/parallel.h"
#include "kernels/bit_kernels.h"
#include "kernels/few.h"
#include "kernels/reference.h"
#include "kernels/simd/emulated.h"
#include "kernels/simd/few_bits.h"

namespace esparse {
namespace {

using namespace testing_support;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// The kernels of vectors with 4 lanes (NEON) and 16 lanes (AVX-512), on every machine.
const BitKernels kEmulated4 = simd::make_bit_kernels<simd::Emulated<4>>("emulated4");
const BitKernels kEmulated16 = simd::make_bit_kernels<simd::Emulated<16>>("emulated16");
const BitKernels kEmulated16Pairs = simd::make_bit_kernels<simd::Emulated<16, true>>("emulated16_pairs");

std::vector<const BitKernels*> all_kernels() {
  auto tables = usable_tables<BitKernels>();
  tables.push_back(&kEmulated4);
  tables.push_back(&kEmulated16);
  tables.push_back(&kEmulated16Pairs);
  return tables;
}

// A matrix, and its kept values and bits in memory that ends where they end, one byte off any alignment: the address
// sanitizer sees a read beyond.
struct Weight {
  DType dtype = DType::f32;
  int64_t out = 0, in = 0;
  std::vector<float> dense = {};  // as stored
  int64_t kept_per_row = 0;
  std::vector<int64_t> offsets = {};
  std::vector<std::byte> values = {};
  std::vector<uint8_t> bits = {};

  BitRowsView view() const {
    return {dtype, out, in, values.data() + 1, bits.data(), kept_per_row, offsets.empty() ? nullptr : offsets.data()};
  }
  void take(const std::vector<std::byte>& packed_values, const std::vector<uint8_t>& packed_bits) {
    values.assign(1, std::byte{0});
    values.insert(values.end(), packed_values.begin(), packed_values.end());
    values.shrink_to_fit();
    bits = packed_bits;
    bits.shrink_to_fit();
  }
};

Weight nm_weight(NmPattern pattern, DType dtype, int64_t out, int64_t in, uint64_t seed) {
  Weight weight{.dtype = dtype, .out = out, .in = in};
  weight.dense = random_values(out * in, seed);
  make_nm(weight.dense, in, pattern, seed + 1);
  weight.dense = rounded(dtype, weight.dense);
  const auto packed = pack_nm(pattern, dtype, stored(dtype, weight.dense), out, in);
  EXPECT_TRUE(packed.ok()) << packed.status().message();
  weight.take(packed->values, packed->bitmask);
  weight.kept_per_row = packed->view().kept_per_row();
  return weight;
}

Weight bitmap_of(DType dtype, std::vector<float> dense, int64_t out, int64_t in) {
  Weight weight{.dtype = dtype, .out = out, .in = in};
  weight.dense = rounded(dtype, dense);
  const auto packed = pack_bitmap(dtype, stored(dtype, weight.dense), out, in);
  EXPECT_TRUE(packed.ok()) << packed.status().message();
  weight.take(packed->values, packed->bitmask);
  weight.offsets = packed->row_offsets;
  return weight;
}

std::vector<float> random_sparse(int64_t count, double density, uint64_t seed) {
  auto values = random_values(count, seed);
  std::mt19937_64 random(seed + 1);
  for (float& value : values)
    if (static_cast<double>(random() >> 11) * 0x1p-53 >= density) value = 0.0f;
  return values;
}

Weight bitmap_weight(double density, DType dtype, int64_t out, int64_t in, uint64_t seed) {
  return bitmap_of(dtype, random_sparse(out * in, density, seed), out, in);
}

// y has two columns more than it needs, x one more and an odd address; both are poisoned there.
void expect_agrees(const BitKernels& table, const Weight& weight, int64_t tokens, bool with_bias) {
  const int64_t out = weight.out, in = weight.in;
  std::vector<float> x_storage(tokens * (in + 1) + 1, kNan);
  const MatrixView<float> x(x_storage.data() + 1, tokens, in, in + 1);
  const auto inputs = random_values(tokens * in, tokens + in), bias = random_values(out, 4);
  for (int64_t t = 0; t < tokens; ++t) std::copy_n(inputs.data() + t * in, in, x.row(t).data());
  // What the kernel multiplies with.
  const auto used = table.pairs && weight.dtype == DType::bf16 ? rounded(DType::bf16, inputs) : inputs;
  Matrix<float> y(tokens, out + 2);
  std::ranges::fill(y.values(), -7.0f);
  few_bits(table, weight.view(), x, with_bias ? std::span<const float>(bias) : std::span<const float>(),
           y.view().cols_from(1, out));
  for (int64_t t = 0; t < tokens; ++t) {
    ASSERT_EQ(y(t, 0), -7.0f);
    ASSERT_EQ(y(t, out + 1), -7.0f);
    for (int64_t o = 0; o < out; ++o) {
      auto reference = dot_reference(weight.dense.data() + o * in, used.data() + t * in, in);
      if (with_bias) reference.value += bias[o], reference.magnitude += std::abs(bias[o]);
      ASSERT_NEAR(y(t, o + 1), reference.value, dot_tolerance(reference, in))
          << out << "x" << in << " tokens " << tokens << " at " << t << "," << o;
    }
  }
}

class FewBits : public testing::TestWithParam<std::tuple<const BitKernels*, DType>> {
 protected:
  const BitKernels& table() const { return *std::get<0>(GetParam()); }
  DType dtype() const { return std::get<1>(GetParam()); }
};

TEST_P(FewBits, NmOfEveryWidth) {
  for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}, {6, 8}, {5, 7}, {16, 32}, {1, 16}, {31, 32}})
    for (int64_t in = 1; in <= 80; ++in)
      for (const int64_t tokens : {1, 2, 3})
        expect_agrees(table(), nm_weight(pattern, dtype(), 5, in, in + pattern.kept), tokens, in % 2 == 0);
}

TEST_P(FewBits, BitmapOfEveryWidth) {
  for (const double density : {0.0, 0.1, 0.3, 0.5, 0.9, 1.0})
    for (int64_t in = 1; in <= 80; ++in)
      for (const int64_t tokens : {1, 2, 5})
        expect_agrees(table(), bitmap_weight(density, dtype(), 6, in, in), tokens, in % 2 == 1);
}

// Strips of 256 columns begin, end and stay incomplete; rows of more than one piece.
TEST_P(FewBits, LongRowsAndManyRows) {
  for (const int64_t in : {255, 256, 257, 511, 640, 1031})
    for (const int64_t tokens : {1, 2, 7}) {
      expect_agrees(table(), bitmap_weight(0.5, dtype(), 5, in, in), tokens, true);
      expect_agrees(table(), nm_weight({6, 8}, dtype(), 5, in, in), tokens, true);
    }
  for (const int64_t out : {1, 2, 3, 4, 7, 8, 67, 68, 69, 140})
    for (const int64_t tokens : {1, 2, 4})
      expect_agrees(table(), bitmap_weight(0.4, dtype(), out, 43, out), tokens, true);
}

TEST_P(FewBits, EveryNumberOfTokens) {
  for (int64_t tokens = 1; tokens <= 17; ++tokens) {
    expect_agrees(table(), nm_weight({4, 8}, dtype(), 9, 300, tokens), tokens, true);
    expect_agrees(table(), bitmap_weight(0.5, dtype(), 9, 77, tokens), tokens, false);
  }
  expect_agrees(table(), bitmap_weight(0.5, dtype(), 9, 77, 3), 40, true);
}

// Rows without values in front, between and behind: the end of the matrix is near for many rows.
TEST_P(FewBits, EmptyRows) {
  const int64_t out = 12, in = 90;
  auto dense = random_sparse(out * in, 0.5, 3);
  for (const int64_t row : {0, 4, 5, 9, 10, 11}) std::fill_n(dense.begin() + row * in, in, 0.0f);
  for (const int64_t tokens : {1, 2, 5}) expect_agrees(table(), bitmap_of(dtype(), dense, out, in), tokens, false);
}

// Weights and inputs are small whole numbers, so that the sums are exact: all masks of a byte (with them the 6 of 2:4
// and the 70 of 4:8), each in every place of a vector of four bytes.
TEST_P(FewBits, EveryMaskExactly) {
  const int64_t out = 4, in = 256 * 8;
  std::vector<float> dense(out * in);
  for (int64_t row = 0; row < out; ++row)
    for (int64_t column = 0; column < in; ++column) {
      const auto mask = static_cast<unsigned>((column / 8 + row) % 256);
      if ((mask >> column % 8 & 1) != 0) dense[row * in + column] = static_cast<float>(column % 7 + 1);
    }
  const Weight weight = bitmap_of(dtype(), dense, out, in);
  for (const int64_t tokens : {1, 2, 4}) {
    Matrix<float> x(tokens, in), y(tokens, out);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t column = 0; column < in; ++column) x(t, column) = static_cast<float>(column % 13 + t);
    few_bits(table(), weight.view(), x.view(), {}, y.view());
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t row = 0; row < out; ++row) {
        int64_t expected = 0;
        for (int64_t column = 0; column < in; ++column)
          expected += static_cast<int64_t>(dense[row * in + column]) * (column % 13 + t);
        EXPECT_EQ(y(t, row), static_cast<float>(expected)) << "token " << t << " row " << row;
      }
  }
}

TEST_P(FewBits, SameBitsAloneOrTogetherForEveryThreadCount) {
  const Weight weight = bitmap_weight(0.5, dtype(), 301, 530, 1);
  const Matrix<float> x = random_matrix(17, 530, 2);
  Matrix<float> alone(17, 301);
  set_thread_count(1);
  for (int64_t t = 0; t < 17; ++t)
    few_bits(table(), weight.view(), x.view().rows_from(t, 1), {}, alone.view().rows_from(t, 1));
  for (const int threads : {1, 2, 3, 5})
    for (int64_t tokens = 1; tokens <= 17; ++tokens) {
      set_thread_count(threads);
      Matrix<float> y(tokens, 301);
      few_bits(table(), weight.view(), x.view().rows_from(0, tokens), {}, y.view());
      ASSERT_EQ(0, std::memcmp(y.data(), alone.data(), y.values().size_bytes())) << tokens << " tokens " << threads;
    }
  set_thread_count(0);
}

// Infinite inputs give what the dense product gives: infinity where the weight is kept, NaN where it is zero.
TEST_P(FewBits, InfiniteInputs) {
  std::vector<float> dense(2 * 40);
  for (int64_t column = 0; column < 40; column += 2) dense[column] = -2.0f, dense[40 + column + 1] = 1.0f;
  const Weight weight = bitmap_of(dtype(), dense, 2, 40);
  for (const int64_t tokens : {1, 2, 3})
    for (int64_t column = 0; column < 40; ++column) {
      Matrix<float> x(tokens, 40), y(tokens, 2);
      std::ranges::fill(x.values(), 1.0f);
      x(tokens - 1, column) = kInfinity;
      few_bits(table(), weight.view(), x.view(), {}, y.view());
      const bool first_keeps = column % 2 == 0;
      if (first_keeps) {
        EXPECT_EQ(y(tokens - 1, 0), -kInfinity);
      } else {
        EXPECT_EQ(y(tokens - 1, 1), kInfinity);
      }
      EXPECT_TRUE(std::isnan(y(tokens - 1, first_keeps ? 1 : 0))) << column;
      for (int64_t t = 0; t < tokens - 1; ++t) EXPECT_EQ(y(t, 0), -40.0f) << "another token";
    }
}

// The smallest subnormal of the type, which must not count as zero, and a kept -0.0, which adds nothing.
TEST_P(FewBits, SubnormalsAndNegativeZero) {
  const float smallest = dtype() == DType::f16 ? 0x1p-24f : dtype() == DType::bf16 ? 0x1p-133f : 0x1p-149f;
  for (const int64_t tokens : {1, 2, 4}) {
    Weight weight{.dtype = dtype(), .out = 1, .in = 20};
    weight.take(stored(dtype(), {smallest, -0.0f, -smallest}), {0x02, 0x11, 0x00});
    weight.offsets = {0, 3};
    Matrix<float> x(tokens, 20), y(tokens, 1);
    std::ranges::fill(x.values(), 3.0f);
    for (int64_t t = 0; t < tokens; ++t) x(t, 1) = 0x1p+100f;
    few_bits(table(), weight.view(), x.view(), {}, y.view());
    for (int64_t t = 0; t < tokens; ++t) {
      const double expected = static_cast<double>(smallest) * (0x1p+100 - 3);
      // The instruction for pairs of bf16 takes subnormals for zero (bit_kernels.h); an emulated one need not.
      if (table().pairs && dtype() == DType::bf16 && y(t, 0) == 0.0f) continue;
      EXPECT_NEAR(y(t, 0), expected, expected * 0x1p-22);
      EXPECT_GT(y(t, 0), 0.0f);
    }
  }
}

TEST_P(FewBits, NothingToDo) {
  Weight weight = bitmap_weight(0.5, dtype(), 3, 8, 1);
  Matrix<float> x(0, 8), y(0, 3);
  few_bits(table(), weight.view(), x.view(), {}, y.view());
  weight = bitmap_weight(0.5, dtype(), 0, 8, 1);
  Matrix<float> some(2, 8), none(2, 0);
  few_bits(table(), weight.view(), some.view(), {}, none.view());
}

INSTANTIATE_TEST_SUITE_P(Isa, FewBits,
                         testing::Combine(testing::ValuesIn(all_kernels()),
                                          testing::Values(DType::f32, DType::f16, DType::bf16)),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)->isa) + "_" +
                                  std::string(dtype_name(std::get<1>(instance.param)));
                         });

// few_linear() takes the table in use.
TEST(FewBitsLinear, IsTheTableInUse) {
  const Weight weight = bitmap_weight(0.5, DType::bf16, 70, 100, 1);
  const Matrix<float> x = random_matrix(3, 100, 2);
  Matrix<float> expected(3, 70), got(3, 70);
  few_bits(kernels<BitKernels>(), weight.view(), x.view(), {}, expected.view());
  few_linear(weight.view(), x.view(), {}, got.view());
  EXPECT_EQ(0, std::memcmp(got.data(), expected.data(), got.values().size_bytes()));
}

}  // namespace
}  // namespace esparse

#include "kernels/tile_gemm.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "base/parallel.h"
#include "kernels/few.h"
#include "kernels/reference.h"
#include "kernels/simd/emulated.h"
#include "kernels/simd/tile_gemm.h"
#include "kernels/sparse_gemm.h"

namespace esparse {
namespace {

using namespace testing_support;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr NmPattern kPatterns[] = {{2, 4}, {4, 8}, {2, 8}, {6, 8}, {1, 4}, {3, 4}, {1, 2}};

using Pairs = simd::Emulated<16, true>;
constexpr TileGemmKernels kEmulated = simd::make_tile_gemm_kernels<Pairs>();
const TileKernels kEmulatedTiles = {"emulated_pairs", nullptr, nullptr, nullptr, &kEmulated};

std::vector<const TileKernels*> all_kernels() {
  std::vector<const TileKernels*> kernels = {&kEmulatedTiles};
  for (const TileKernels* table : usable_tables<TileKernels>())
    if (table->gemm != nullptr) kernels.push_back(table);
  return kernels;
}

struct Weight {
  Weight(NmPattern pattern, const std::vector<float>& values, int64_t out_in, int64_t in_in)
      : out(out_in), in(in_in), dense(rounded(DType::bf16, values)) {
    const auto packed = pack_nm(pattern, DType::bf16, stored(DType::bf16, values), out, in);
    EXPECT_TRUE(packed.ok()) << packed.status().message();
    tiles = make_nm_tiles(packed->view());
  }
  static Weight random(NmPattern pattern, int64_t out, int64_t in) {
    auto values = random_values(out * in, out * 31 + in);
    make_nm(values, in, pattern, 5);
    return {pattern, values, out, in};
  }
  int64_t out, in;
  std::vector<float> dense;
  NmTiles tiles;
};

// y, whose rows lie further apart than they are long; nothing may be written between.
Matrix<float> product(const TileKernels& kernels, const Weight& weight, const std::vector<float>& x, int64_t tokens,
                      std::span<const float> bias) {
  const int64_t x_stride = weight.in + 3, y_stride = weight.out + 5;
  // The last row ends with the memory, so that the address sanitizer sees a read beyond it.
  std::vector<float> inputs((tokens - 1) * x_stride + weight.in, kNan), outputs(tokens * y_stride, -7.0f);
  for (int64_t t = 0; t < tokens; ++t) std::copy_n(x.begin() + t * weight.in, weight.in, inputs.begin() + t * x_stride);
  const auto* kernel = tile_gemm_kernel(kernels, weight.tiles.view());
  EXPECT_NE(kernel, nullptr);
  tile_gemm(*kernel, weight.tiles.view(), {inputs.data(), tokens, weight.in, x_stride}, bias,
            {outputs.data(), tokens, weight.out, y_stride});
  Matrix<float> y(tokens, weight.out);
  for (int64_t t = 0; t < tokens; ++t) {
    std::copy_n(outputs.begin() + t * y_stride, weight.out, y.row(t).data());
    for (int64_t o = weight.out; o < y_stride; ++o)
      EXPECT_EQ(outputs[t * y_stride + o], -7.0f) << "written beside y, token " << t;
  }
  return y;
}

// Against double loops over inputs rounded to bf16. Subnormals count as zero where the instruction says so.
void expect_product(const Weight& weight, const std::vector<float>& x, int64_t tokens, bool with_bias,
                    const std::string& what) {
  const auto used = rounded(DType::bf16, x);
  const auto bias = with_bias ? random_values(weight.out, 77) : std::vector<float>();
  for (const TileKernels* kernels : all_kernels()) {
    const Matrix<float> y = product(*kernels, weight, x, tokens, bias);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t o = 0; o < weight.out; ++o) {
        auto reference = dot_reference(&weight.dense[o * weight.in], &used[t * weight.in], weight.in);
        if (with_bias) {
          reference.value += bias[o];
          reference.magnitude += std::abs(bias[o]);
        }
        const double tolerance = dot_tolerance(reference, weight.in) + static_cast<double>(2 * weight.in) * 0x1p-126;
        ASSERT_NEAR(y(t, o), reference.value, tolerance)
            << what << ", " << kernels->isa << " " << weight.out << "x" << weight.in << ", token " << t << " of "
            << tokens << ", row " << o;
      }
  }
}

TEST(TileGemm, OddShapes) {
  set_thread_count(2);
  for (const NmPattern pattern : kPatterns)
    for (const auto& [out, in] :
         {std::pair<int64_t, int64_t>{1, 32}, {16, 64}, {17, 30}, {45, 97}, {130, 135}, {257, 516}})
      for (const int64_t tokens : {1, 2, 9, 33, 100}) {
        const auto x = random_values(tokens * in, tokens);
        expect_product(Weight::random(pattern, out, in), x, tokens, tokens % 2 == 0, pattern.text());
      }
}

TEST(TileGemm, EveryTokenCount) {
  set_thread_count(2);
  const int64_t out = 37, in = 160;
  for (const NmPattern pattern : {NmPattern{2, 4}, {2, 8}, {4, 8}, {6, 8}}) {
    const Weight weight = Weight::random(pattern, out, in);
    std::vector<int64_t> counts = {40, 47, 48, 49, 64, 96, 127, 128, 129, 511, 512, 513, 577};
    for (int64_t tokens = 1; tokens <= 33; ++tokens) counts.push_back(tokens);
    for (const int64_t tokens : counts)
      expect_product(weight, random_values(tokens * in, tokens), tokens, true, pattern.text());
  }
}

TEST(TileGemm, EveryColumnCountAroundTiles) {
  set_thread_count(1);
  for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}})
    for (int64_t in = 1; in <= 70; ++in)
      expect_product(Weight::random(pattern, 17, in), random_values(11 * in, in), 11, false, pattern.text());
}

// Every way to keep `kept` of `group` columns, each in a row of its own and at every place of a row.
TEST(TileGemm, AllPatternsOfAGroup) {
  set_thread_count(2);
  const int64_t in = 80;
  for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}, {2, 8}, {6, 8}}) {
    std::vector<unsigned> masks;
    for (unsigned mask = 0; mask < 1u << pattern.group; ++mask)
      if (std::popcount(mask) == pattern.kept) masks.push_back(mask);
    const auto out = static_cast<int64_t>(masks.size());
    auto values = random_values(out * in, 3);
    for (int64_t row = 0; row < out; ++row)
      for (int64_t column = 0; column < in; ++column)
        if ((masks[(row + column / pattern.group) % out] >> column % pattern.group & 1) == 0)
          values[row * in + column] = 0.0f;
    expect_product({pattern, values, out, in}, random_values(21 * in, 1), 21, false, pattern.text());
  }
}

TEST(TileGemm, ZerosSubnormalsAndLargeValues) {
  set_thread_count(1);
  const int64_t out = 20, in = 64, tokens = 19;
  for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}}) {
    auto values = random_values(out * in, 11);
    make_nm(values, in, pattern, 5);
    auto x = random_values(tokens * in, 4);
    for (size_t i = 0; i < values.size(); i += 3) values[i] *= 1e-39f;  // below the smallest normal f32
    for (size_t i = 0; i < x.size(); i += 5) x[i] = i % 2 == 0 ? -0.0f : 1e-40f;
    for (size_t i = 1; i < x.size(); i += 7) x[i] *= 1e30f;
    // What counts as zero beside a factor of 1e30 is 1e-8.
    const Weight weight(pattern, values, out, in);
    const auto used = rounded(DType::bf16, x);
    for (const TileKernels* kernels : all_kernels()) {
      const Matrix<float> y = product(*kernels, weight, x, tokens, {});
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t o = 0; o < out; ++o) {
          const auto reference = dot_reference(&weight.dense[o * in], &used[t * in], in);
          ASSERT_NEAR(y(t, o), reference.value, dot_tolerance(reference, in) + in * 1e30 * 0x1p-126)
              << kernels->isa << " " << t << "," << o;
        }
    }
    expect_product({pattern, std::vector<float>(out * in, 0.0f), out, in}, x, tokens, true, "nothing kept");
  }
}

// Infinity in a column that a row keeps arrives in that token of that row and nowhere else.
TEST(TileGemm, InfinityReachesTheRowsThatKeepIt) {
  set_thread_count(1);
  const int64_t out = 33, in = 72, tokens = 40;
  for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}, {6, 8}}) {
    const Weight weight = Weight::random(pattern, out, in);
    for (const TileKernels* kernels : all_kernels())
      for (const int64_t column : {0, 5, 39, 71}) {
        auto x = random_values(tokens * in, 6);
        x[3 * in + column] = std::numeric_limits<float>::infinity();
        const Matrix<float> y = product(*kernels, weight, x, tokens, {});
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t row = 0; row < out; ++row) {
            const bool expected = t == 3 && weight.dense[row * in + column] != 0.0f;
            ASSERT_EQ(std::isinf(y(t, row)), expected) << kernels->isa << " " << t << "," << row;
            ASSERT_FALSE(std::isnan(y(t, row))) << kernels->isa << " " << t << "," << row;
          }
      }
  }
}

TEST(TileGemm, SameBitsForEveryThreadCountAndBatchAndAsForFewTokens) {
  const int64_t out = 420, in = 700, tokens = 600;
  const auto x = random_values(tokens * in, 8);
  const auto bias = random_values(out, 2);
  for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}, {6, 8}}) {
    const Weight weight = Weight::random(pattern, out, in);
    for (const TileKernels* kernels : usable_tables<TileKernels>()) {
      if (kernels->gemm == nullptr) continue;
      set_thread_count(1);
      const Matrix<float> expected = product(*kernels, weight, x, tokens, bias);
      for (const int threads : {2, 3, 4, 5}) {
        set_thread_count(threads);
        const Matrix<float> y = product(*kernels, weight, x, tokens, bias);
        ASSERT_EQ(0, std::memcmp(y.data(), expected.data(), y.values().size_bytes())) << threads << " threads";
      }
      for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 1}, {5, 2}, {100, 17}, {301, 64}, {63, 200}}) {
        const std::vector<float> part(x.begin() + first * in, x.begin() + (first + count) * in);
        const Matrix<float> y = product(*kernels, weight, part, count, bias);
        ASSERT_EQ(0, std::memcmp(y.data(), &expected(first, 0), y.values().size_bytes()))
            << kernels->isa << ", tokens " << first << " + " << count;
      }
      Matrix<float> few(16, out);
      few_tiles(*kernels, weight.tiles.view(), {x.data(), 16, in}, bias, few.view());
      ASSERT_EQ(0, std::memcmp(few.data(), expected.data(), few.values().size_bytes())) << kernels->isa;
    }
  }
}

TEST(TileGemm, KernelsAreForTilesOfBf16) {
  const std::vector<float> values(16 * 32, 0.0f);
  for (const DType dtype : {DType::f32, DType::f16}) {
    const auto packed = pack_nm({2, 4}, dtype, stored(dtype, values), 16, 32);
    ASSERT_TRUE(packed.ok());
    const NmTiles tiles = make_nm_tiles(packed->view());
    EXPECT_EQ(tile_gemm_kernel(kEmulatedTiles, tiles.view()), nullptr);
    EXPECT_TRUE(has_sparse_gemm(tiles.view()));
  }
  EXPECT_EQ(tile_gemm_kernel(kPortableTileKernels, Weight({2, 4}, values, 16, 32).tiles.view()), nullptr);
}

}  // namespace
}  // namespace esparse

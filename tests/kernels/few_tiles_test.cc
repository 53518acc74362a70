#include <gtest/gtest.h>

#include <limits>

#include "base/parallel.h"
#include "kernels/few.h"
#include "kernels/reference.h"
#include "kernels/simd/emulated.h"
#include "kernels/simd/few_tile_pairs.h"
#include "kernels/tile_kernels.h"

namespace esparse {
namespace {

using namespace testing_support;

constexpr NmPattern k24{2, 4};
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The kernels for vectors that this machine may not have: four lanes (NEON), sixteen (AVX-512), sixteen with dot
// products of pairs (AVX-512 BF16).
using Pairs = simd::Emulated<16, true>;
void multiply_emulated_pairs(const TilePiece& piece) {
  if (piece.dtype == DType::bf16) return simd::multiply_tile_pairs<Pairs>(piece);
  simd::multiply_tiles_f32<simd::Emulated<16>>(piece);
}
const TileKernels kEmulated4 = {"emulated4", simd::multiply_tiles_f32<simd::Emulated<4>>, nullptr, nullptr, nullptr};
const TileKernels kEmulated16 = {"emulated16", simd::multiply_tiles_f32<simd::Emulated<16>>, nullptr, nullptr, nullptr};
const TileKernels kEmulatedPairs = {"emulated_pairs", multiply_emulated_pairs, simd::round_tile_columns<Pairs>,
                                    simd::expand_eights<Pairs>, nullptr};

std::vector<const TileKernels*> all_kernels() {
  std::vector<const TileKernels*> kernels = usable_tables<TileKernels>();
  kernels.insert(kernels.end(), {&kEmulated4, &kEmulated16, &kEmulatedPairs});
  return kernels;
}

// x with rows further apart than they are long, NaN between, and its last row at the very end of the memory, so that
// the address sanitizer sees a read beyond it; rows begin at any multiple of four bytes.
struct Inputs {
  Inputs(int64_t tokens, int64_t columns, uint64_t seed)
      : values(random_values(tokens * columns, seed)), stride(columns + 3), rows(tokens), cols(columns) {}
  MatrixView<const float> view() {
    memory.assign((rows - 1) * stride + cols, kNan);
    for (int64_t t = 0; t < rows; ++t) std::copy_n(&values[t * cols], cols, &memory[t * stride]);
    return {memory.data(), rows, cols, stride};
  }
  std::vector<float> values, memory;
  int64_t stride, rows, cols;
};

struct Weights {
  Weights(DType dtype_in, std::vector<float> dense, int64_t out_in, int64_t in_in, NmPattern pattern = k24)
      : dtype(dtype_in), out(out_in), in(in_in), values(rounded(dtype, dense)) {
    auto packed = pack_nm(pattern, dtype, stored(dtype, values), out, in);
    EXPECT_TRUE(packed.ok()) << packed.status().message();
    tiles = make_nm_tiles(packed->view());
  }
  static Weights random(DType dtype, int64_t out, int64_t in, NmPattern pattern = k24) {
    auto values = random_values(out * in, out * 1000 + in);
    make_nm(values, in, pattern, out + in);
    return {dtype, std::move(values), out, in, pattern};
  }
  DType dtype;
  int64_t out, in;
  std::vector<float> values;
  NmTiles tiles;
};

class FewTilesTest : public testing::TestWithParam<std::tuple<const TileKernels*, DType>> {
 protected:
  const TileKernels& kernels() const { return *std::get<0>(GetParam()); }
  DType dtype() const { return std::get<1>(GetParam()); }
  bool rounds() const { return kernels().round_columns != nullptr && dtype() == DType::bf16; }

  // y [tokens, out]; checks that nothing beside it is written.
  Matrix<float> multiply(const Weights& weight, MatrixView<const float> x, std::span<const float> bias) const {
    const int64_t stride = weight.out + 5;
    std::vector<float> memory(x.rows * stride, kNan);
    few_tiles(kernels(), weight.tiles.view(), x, bias, MatrixView<float>(memory.data(), x.rows, weight.out, stride));
    Matrix<float> y(x.rows, weight.out);
    for (int64_t t = 0; t < x.rows; ++t) {
      std::copy_n(&memory[t * stride], weight.out, y.row(t).data());
      for (int64_t o = weight.out; o < stride; ++o) EXPECT_TRUE(std::isnan(memory[t * stride + o])) << "wrote beside y";
    }
    return y;
  }

  // What the kernel multiplies with.
  std::vector<float> seen(const std::vector<float>& x) const { return rounds() ? rounded(DType::bf16, x) : x; }

  // A sum of n products in any order, products and sums rounded: 2 n roundings of at most the sum of magnitudes, one
  // for the bias. What counts as zero is below 2^-126 where pairs are multiplied, else 2^-149.
  double tolerance(const DotReference& reference, int64_t in) const {
    const auto count = static_cast<double>(in / 2 + 2);
    return (2 * count + 2) * 0x1p-24 * reference.magnitude + 2 * count * (rounds() ? 0x1p-126 : 0x1p-149);
  }

  void check(const Weights& weight, Inputs& x, std::span<const float> bias) const {
    const Matrix<float> y = multiply(weight, x.view(), bias);
    const auto x_seen = seen(x.values);
    for (int64_t t = 0; t < x.rows; ++t)
      for (int64_t o = 0; o < weight.out; ++o) {
        auto reference = dot_reference(&weight.values[o * weight.in], &x_seen[t * x.cols], x.cols);
        if (!bias.empty()) {
          reference.value += bias[o];
          reference.magnitude += std::abs(bias[o]);
        }
        ASSERT_NEAR(y(t, o), reference.value, tolerance(reference, weight.in))
            << weight.out << "x" << weight.in << ", token " << t << " of " << x.rows << ", row " << o;
      }
  }
};

TEST_P(FewTilesTest, EveryTokenCount) {
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{50, 101}, {16, 32}, {129, 66}}) {
    const Weights weight = Weights::random(dtype(), out, in);
    const auto bias = random_values(out, 4);
    for (int64_t tokens = 1; tokens <= 17; ++tokens) {
      Inputs x(tokens, in, tokens);
      check(weight, x, tokens % 2 == 0 ? std::span<const float>() : bias);
    }
  }
}

TEST_P(FewTilesTest, EveryColumnCountAroundTiles) {
  for (int64_t in = 1; in <= 70; ++in) {
    const Weights weight = Weights::random(dtype(), 17, in);
    for (const int64_t tokens : {1, 3, 7}) {
      Inputs x(tokens, in, in);
      check(weight, x, {});
    }
  }
}

TEST_P(FewTilesTest, EveryRowCountAroundPieces) {
  for (const int64_t out : {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 100}) {
    const Weights weight = Weights::random(dtype(), out, 40);
    for (const int64_t tokens : {1, 2, 4, 9}) {
      Inputs x(tokens, 40, out);
      check(weight, x, {});
    }
  }
}

// More tiles than one run of them, more row blocks than the larger pieces begin at.
TEST_P(FewTilesTest, LargeWeights) {
  const Weights wide = Weights::random(dtype(), 20, 2500), tall = Weights::random(dtype(), 256 * 16 + 1, 36);
  for (const int64_t tokens : {1, 5, 16}) {
    Inputs wide_x(tokens, wide.in, 1), tall_x(tokens, tall.in, 2);
    check(wide, wide_x, {});
    check(tall, tall_x, {});
  }
}

// All six patterns at every place of a tile; small whole numbers, so every sum is exact.
TEST_P(FewTilesTest, EveryPattern) {
  constexpr int kPatterns[6][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};
  const int64_t out = 37, groups = 19, in = 4 * groups;
  std::vector<float> values(out * in);
  for (int64_t row = 0; row < out; ++row)
    for (int64_t group = 0; group < groups; ++group)
      for (int slot = 0; slot < 2; ++slot)
        values[row * in + 4 * group + kPatterns[(row + group) % 6][slot]] = static_cast<float>(row % 7 - 3 + 8 * slot);
  const Weights weight(dtype(), values, out, in);
  for (const int64_t tokens : {1, 2, 6, 8}) {
    Inputs x(tokens, in, 1);
    for (int64_t i = 0; i < tokens * in; ++i) x.values[i] = static_cast<float>(i * 37 % 251 - 125);
    const Matrix<float> y = multiply(weight, x.view(), {});
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t o = 0; o < out; ++o)
        ASSERT_EQ(y(t, o), dot_reference(&values[o * in], &x.values[t * in], in).value) << t << " " << o;
  }
}

// N:8, for which only kernels of pairs are made.
class EightTilesTest : public FewTilesTest {};

// Every number of tokens too.
TEST_P(EightTilesTest, RaggedShapes) {
  for (const NmPattern pattern : {NmPattern{4, 8}, {6, 8}, {2, 8}, {1, 4}, {3, 4}, {1, 2}}) {
    for (int64_t in = 1; in <= 70; ++in) {
      const Weights weight = Weights::random(dtype(), 17, in, pattern);
      Inputs x(3, in, in);
      check(weight, x, {});
    }
    const Weights weight = Weights::random(dtype(), 133, 300, pattern);
    for (int64_t tokens = 1; tokens <= 17; ++tokens) {
      Inputs x(tokens, 300, tokens);
      check(weight, x, {});
    }
  }
}

// All patterns of eight columns at every place of a tile; whole numbers, so every sum is exact.
TEST_P(EightTilesTest, EveryPattern) {
  for (const int kept : {2, 4, 6}) {
    std::vector<unsigned> masks;
    for (unsigned mask = 0; mask < 256; ++mask)
      if (std::popcount(mask) == kept) masks.push_back(mask);
    const int64_t out = 37, groups = static_cast<int64_t>(masks.size()) + 3, in = 8 * groups;
    std::vector<float> values(out * in);
    for (int64_t row = 0; row < out; ++row)
      for (int64_t column = 0; column < in; ++column)
        if ((masks[static_cast<size_t>(row * 5 + column / 8) % masks.size()] >> column % 8 & 1) != 0)
          values[row * in + column] = static_cast<float>((row + column) % 7 + 1);
    const Weights weight(dtype(), values, out, in, {kept, 8});
    for (const int64_t tokens : {1, 6}) {
      Inputs x(tokens, in, 1);
      for (int64_t i = 0; i < tokens * in; ++i) x.values[i] = static_cast<float>(i * 37 % 251 - 125);
      const Matrix<float> y = multiply(weight, x.view(), {});
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t o = 0; o < out; ++o)
          ASSERT_EQ(y(t, o), dot_reference(&values[o * in], &x.values[t * in], in).value) << t << " " << o;
    }
  }
}

// Infinity and NaN reach the rows that keep their column and no other, and no other token.
TEST_P(FewTilesTest, InfinityAndNanStayWhereTheyBelong) {
  std::vector<NmPattern> patterns = {k24};
  if (rounds()) patterns.insert(patterns.end(), {{4, 8}, {1, 4}, {6, 8}});
  for (const NmPattern pattern : patterns)
    for (const int64_t in : {64, 62, 61}) {
      const int64_t out = 33, bad = in - 1;  // a column of the tail where there is one
      const Weights weight = Weights::random(dtype(), out, in, pattern);
      int64_t keeping = 0;
      for (const float special : {kInfinity, -kInfinity, kNan})
        for (const int64_t tokens : {1, 3, 8}) {
          Inputs x(tokens, in, 5);
          x.values[(tokens - 1) * in + bad] = special;
          const Matrix<float> y = multiply(weight, x.view(), {});
          x.values[(tokens - 1) * in + bad] = 0;  // for rows that do not keep it
          const auto x_seen = seen(x.values);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t o = 0; o < out; ++o) {
              const float* row = &weight.values[o * in];
              const auto reference = dot_reference(row, &x_seen[t * in], in);
              if (t < tokens - 1) {
                ASSERT_TRUE(std::isfinite(y(t, o)));
              } else if (row[bad] == 0) {
                ASSERT_NEAR(y(t, o), reference.value, tolerance(reference, in)) << in << " row " << o;
              } else if (std::isnan(special)) {
                ASSERT_TRUE(std::isnan(y(t, o))) << in << " row " << o;
              } else {
                ASSERT_EQ(y(t, o), row[bad] * special) << in << " row " << o;
              }
              keeping += row[bad] != 0;
            }
        }
      EXPECT_GT(keeping, 0);
    }
}

TEST_P(FewTilesTest, NegativeZerosAndSubnormals) {
  const Weights weight = Weights::random(dtype(), 33, 70);
  for (const int64_t tokens : {1, 4, 8}) {
    Inputs x(tokens, 70, 6);
    for (size_t i = 0; i < x.values.size(); ++i)
      x.values[i] = i % 3 == 0 ? -0.0f : x.values[i] * (i % 3 == 1 ? 0x1p-130f : 0x1p-120f);
    check(weight, x, {});
    for (float& value : x.values) value = -0.0f;
    const Matrix<float> y = multiply(weight, x.view(), {});
    for (const float value : y.values()) ASSERT_EQ(value, 0.0f);
  }
}

// A token's bits are the same alone and among others, and for every number of threads.
TEST_P(FewTilesTest, SameBitsAloneInABatchAndForEveryThreadCount) {
  const int64_t out = 500, in = 258;
  const Weights weight = Weights::random(dtype(), out, in);
  Inputs x(17, in, 8);
  const auto all = x.view();
  for (const int threads : {1, 2, 3, 4}) {
    set_thread_count(threads);
    std::vector<Matrix<float>> alone;
    for (int64_t t = 0; t < all.rows; ++t) alone.push_back(multiply(weight, all.rows_from(t, 1), {}));
    for (int64_t tokens = 2; tokens <= all.rows; ++tokens) {
      const Matrix<float> y = multiply(weight, all.rows_from(0, tokens), {});
      for (int64_t t = 0; t < tokens; ++t)
        ASSERT_EQ(0, std::memcmp(y.row(t).data(), alone[t].data(), out * sizeof(float)))
            << "token " << t << " of " << tokens << ", " << threads << " threads";
    }
  }
  set_thread_count(0);
}

// Pairs: x is rounded to bf16, off by up to 2^-8 of each input, and nothing worse follows.
TEST_P(FewTilesTest, RoundingOfTheInputsIsBounded) {
  const Weights weight = Weights::random(dtype(), 64, 512);
  Inputs x(4, 512, 9);
  const Matrix<float> y = multiply(weight, x.view(), {});
  double worst = 0;
  for (int64_t t = 0; t < 4; ++t)
    for (int64_t o = 0; o < 64; ++o) {
      const auto reference = dot_reference(&weight.values[o * 512], &x.values[t * 512], 512);
      const double error = std::abs(y(t, o) - reference.value);
      worst = std::max(worst, error / reference.magnitude);
      ASSERT_LE(error, (rounds() ? 0x1p-8 : 0) * reference.magnitude + 1.01 * tolerance(reference, 512));
    }
  EXPECT_EQ(worst > 0x1p-16, rounds()) << "inputs are rounded where the table says so, and only there: " << worst;
}

std::string instance_name(const testing::TestParamInfo<FewTilesTest::ParamType>& instance) {
  return std::string(std::get<0>(instance.param)->isa) + "_" + std::string(dtype_name(std::get<1>(instance.param)));
}

std::vector<const TileKernels*> kernels_of_pairs() {
  auto kernels = all_kernels();
  std::erase_if(kernels, [](const TileKernels* table) { return table->round_columns == nullptr; });
  return kernels;
}

INSTANTIATE_TEST_SUITE_P(Isa, FewTilesTest,
                         testing::Combine(testing::ValuesIn(all_kernels()),
                                          testing::Values(DType::f32, DType::f16, DType::bf16)),
                         instance_name);
INSTANTIATE_TEST_SUITE_P(Isa, EightTilesTest,
                         testing::Combine(testing::ValuesIn(kernels_of_pairs()), testing::Values(DType::bf16)),
                         instance_name);

TEST(FewTiles, InputsOfPairsAreRoundedToNearestEven) {
  std::vector<float> x = random_values(32, 3);
  x[0] = -0.0f;
  x[1] = kInfinity;
  x[2] = 1 + 0x1p-8f;  // ties: down to even, up to even
  x[3] = 1 + 3 * 0x1p-8f;
  x[4] = 3e38f;
  x[5] = std::numeric_limits<float>::max();  // rounds to infinity
  const std::vector<float> nan(32, kNan);
  for (const TileKernels* kernels : all_kernels()) {
    if (kernels->round_columns == nullptr) continue;
    std::vector<std::byte> got(64);
    kernels->round_columns(x.data(), got.data());
    EXPECT_EQ(got, stored(DType::bf16, x)) << kernels->isa;
    kernels->round_columns(nan.data(), got.data());
    std::vector<float> back(32);
    convert_to_f32(DType::bf16, got.data(), back);
    for (const float value : back) EXPECT_TRUE(std::isnan(value)) << kernels->isa;
  }
}

// The entry that the rest of the program uses: any number of tokens, the table in use.
TEST(FewTiles, FewLinearTakesTheTableInUse) {
  const Weights weight = Weights::random(DType::bf16, 70, 70);
  const auto bias = random_values(70, 2);
  for (const int64_t tokens : {0, 1, 16, 33}) {
    const auto x = random_matrix(tokens, 70, 1);
    Matrix<float> y(tokens, 70), expected(tokens, 70);
    few_linear(weight.tiles.view(), x.view(), bias, y.view());
    few_tiles(kernels<TileKernels>(), weight.tiles.view(), x.view(), bias, expected.view());
    EXPECT_TRUE(std::ranges::equal(y.values(), expected.values()));
  }
}

}  // namespace
}  // namespace esparse

#include "kernels/sparse_gemm.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/parallel.h"
#include "kernels/bf16_gemm.h"
#include "kernels/gather_emulated.h"
#include "kernels/linear.h"
#include "kernels/reference.h"

namespace esparse {
namespace {

using namespace testing_support;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<const GatherKernels*> all_kernels() {
  auto kernels = usable_tables<GatherKernels>();
  kernels.push_back(&emulated_gather_kernels());
  return kernels;
}

// A sparse weight in one of its forms, with the dense values it stands for.
struct Weight {
  DType dtype = DType::f32;
  int64_t out = 0, in = 0;
  std::vector<float> dense;
  std::optional<NmTiles> tiles;    // of 2:4
  std::vector<std::byte> storage;  // of rows: the values begin one byte behind a word
  std::vector<uint8_t> mask;
  std::vector<int64_t> offsets;

  BitRowsView rows() const { return {dtype, out, in, storage.data() + 1, mask.data(), 0, offsets.data()}; }
  void multiply(const GatherKernels& kernels, MatrixView<const float> x, std::span<const float> bias,
                MatrixView<float> y) const {
    if (tiles) return sparse_gemm_with(kernels, tiles->view(), x, bias, y);
    sparse_gemm_with(kernels, rows(), x, bias, y);
  }
};

// Rows with a bit for every value that is not zero; the buffers end with the last value.
Weight bit_weight(DType dtype, std::vector<float> dense, int64_t out, int64_t in) {
  Weight weight{dtype, out, in, rounded(dtype, dense), {}, {}, {}, {0}};
  weight.mask.assign(out * ((in + 7) / 8), 0);
  std::vector<float> kept;
  for (int64_t row = 0; row < out; ++row) {
    for (int64_t column = 0; column < in; ++column)
      if (const float value = dense[row * in + column]; value != 0.0f) {
        kept.push_back(value);
        weight.mask[row * ((in + 7) / 8) + column / 8] |= static_cast<uint8_t>(1u << column % 8);
      }
    weight.offsets.push_back(static_cast<int64_t>(kept.size()));
  }
  weight.storage = stored(dtype, kept);
  weight.storage.insert(weight.storage.begin(), std::byte{0x5a});
  return weight;
}

Weight tile_weight(DType dtype, const std::vector<float>& dense, int64_t out, int64_t in) {
  const auto packed = pack_nm({2, 4}, dtype, stored(dtype, dense), out, in);
  EXPECT_TRUE(packed.ok());
  return {dtype, out, in, rounded(dtype, dense), make_nm_tiles(packed->view()), {}, {}, {}};
}

// Compares y = x W^T + bias with double loops; x and y have strides, and y must be written nowhere else.
void expect_product(const GatherKernels& kernels, const Weight& weight, const std::vector<float>& x, int64_t tokens,
                    bool with_bias, const std::string& what) {
  const int64_t x_stride = weight.in + 3, y_stride = weight.out + 5;
  std::vector<float> inputs(tokens * x_stride, kNan), outputs(tokens * y_stride, -7.0f);
  for (int64_t t = 0; t < tokens; ++t) std::copy_n(x.begin() + t * weight.in, weight.in, inputs.begin() + t * x_stride);
  for (int64_t t = 0; t < tokens; ++t) std::fill_n(outputs.begin() + t * y_stride, weight.out, kNan);
  const auto bias = with_bias ? random_values(weight.out, 77) : std::vector<float>();
  weight.multiply(kernels, {inputs.data(), tokens, weight.in, x_stride}, bias,
                  {outputs.data(), tokens, weight.out, y_stride});

  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t o = 0; o < weight.out; ++o) {
      auto reference = dot_reference(weight.dense.data() + o * weight.in, x.data() + t * weight.in, weight.in);
      if (with_bias) {
        reference.value += bias[o];
        reference.magnitude += std::abs(bias[o]);
      }
      ASSERT_NEAR(outputs[t * y_stride + o], reference.value, dot_tolerance(reference, weight.in))
          << what << ", " << kernels.isa << " " << dtype_name(weight.dtype) << " " << weight.out << "x" << weight.in
          << ", " << tokens << " tokens, at " << t << "," << o;
    }
    for (int64_t o = weight.out; o < y_stride; ++o)
      ASSERT_EQ(outputs[t * y_stride + o], -7.0f) << what << ": written beyond the row";
  }
}

void expect_product(const Weight& weight, int64_t tokens, bool with_bias, const std::string& what) {
  const auto x = random_values(tokens * weight.in, tokens);
  for (const GatherKernels* kernels : all_kernels()) expect_product(*kernels, weight, x, tokens, with_bias, what);
}

constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16};

std::vector<float> nm_values(int64_t out, int64_t in, NmPattern pattern) {
  auto values = random_values(out * in, out * 31 + in);
  make_nm(values, in, pattern, 5);
  return values;
}

TEST(SparseGemm, TilesOfOddShapes) {
  set_thread_count(2);
  for (const DType dtype : kTypes)
    for (const auto& [out, in] :
         {std::pair<int64_t, int64_t>{1, 32}, {16, 64}, {17, 30}, {45, 97}, {130, 135}, {257, 516}})
      for (const int64_t tokens : {1, 2, 9, 33, 100})
        expect_product(tile_weight(dtype, nm_values(out, in, {2, 4}), out, in), tokens, tokens % 2 == 0, "2:4");
}

TEST(SparseGemm, EveryTokenCount) {
  set_thread_count(2);
  const int64_t out = 37, in = 160;
  const auto values = nm_values(out, in, {2, 4});
  std::vector<int64_t> counts;
  for (int64_t tokens = 1; tokens <= 17; ++tokens) counts.push_back(tokens);
  for (const int64_t tokens : {31, 32, 33, 40, 48, 56, 64, 72, 80, 88, 95, 96, 97, 127, 128, 129, 200, 577})
    counts.push_back(tokens);
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const int64_t tokens : counts) {
      expect_product(tile_weight(dtype, values, out, in), tokens, true, "tiles");
      expect_product(bit_weight(dtype, values, out, in), tokens, true, "rows");
    }
}

TEST(SparseGemm, PatternsOfRows) {
  set_thread_count(2);
  for (const DType dtype : kTypes)
    for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}, {6, 8}, {1, 4}, {5, 7}, {1, 1}})
      for (const auto& [out, in] : {std::pair<int64_t, int64_t>{1, 1}, {3, 7}, {29, 56}, {15, 129}, {131, 331}})
        for (const int64_t tokens : {3, 20, 65})
          expect_product(bit_weight(dtype, nm_values(out, in, pattern), out, in), tokens, true,
                         std::to_string(pattern.kept) + ":" + std::to_string(pattern.group));
}

TEST(SparseGemm, UnevenRows) {
  set_thread_count(2);
  const int64_t out = 75, in = 300;
  for (const DType dtype : kTypes) {
    auto values = random_values(out * in, 9);
    const auto chance = random_values(out * in, 10);
    for (int64_t row = 0; row < out; ++row)
      for (int64_t column = 0; column < in; ++column)  // row 0 keeps nothing, the last everything
        if (chance[row * in + column] > 2.0f * static_cast<float>(row) / (out - 1) - 1.0f)
          values[row * in + column] = 0.0f;
    for (const int64_t row : {7, 40, 41, 42, 43}) std::fill_n(values.begin() + row * in, in, 0.0f);
    for (const int64_t tokens : {1, 8, 30, 61, 130})
      expect_product(bit_weight(dtype, values, out, in), tokens, false, "uneven rows");
  }
  expect_product(bit_weight(DType::bf16, std::vector<float>(out * in, 0.0f), out, in), 20, true, "nothing kept");
}

// Every way to keep `kept` of `group` columns, each in a row of its own and at every place of a row.
std::vector<float> all_patterns(int kept, int group, int64_t in, int64_t& out) {
  std::vector<unsigned> masks;
  for (unsigned mask = 0; mask < 1u << group; ++mask)
    if (std::popcount(mask) == kept) masks.push_back(mask);
  out = static_cast<int64_t>(masks.size());
  auto values = random_values(out * in, 3);
  for (int64_t row = 0; row < out; ++row)
    for (int64_t column = 0; column < in; ++column) {
      const unsigned mask = masks[(row + column / group) % out];
      if ((mask >> column % group & 1) == 0) values[row * in + column] = 0.0f;
    }
  return values;
}

TEST(SparseGemm, AllPatternsOf2Of4And4Of8) {
  set_thread_count(2);
  for (const auto& [kept, group] : {std::pair{2, 4}, {4, 8}, {6, 8}, {3, 8}}) {
    int64_t out = 0;
    const int64_t in = 80;
    const auto values = all_patterns(kept, group, in, out);
    for (const DType dtype : kTypes) {
      expect_product(bit_weight(dtype, values, out, in), 21, false, "rows");
      if (group == 4) expect_product(tile_weight(dtype, values, out, in), 21, false, "tiles");
    }
  }
}

TEST(SparseGemm, ZerosSubnormalsAndLargeValues) {
  set_thread_count(1);
  const int64_t out = 20, in = 64, tokens = 19;
  auto values = nm_values(out, in, {2, 4});
  auto x = random_values(tokens * in, 4);
  for (size_t i = 0; i < values.size(); i += 3) values[i] *= 1e-39f;  // below the smallest normal f32
  for (size_t i = 0; i < x.size(); i += 5) x[i] = i % 2 == 0 ? -0.0f : 1e-40f;
  for (size_t i = 1; i < x.size(); i += 7) x[i] *= 1e30f;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const GatherKernels* kernels : all_kernels()) {
      expect_product(*kernels, bit_weight(dtype, values, out, in), x, tokens, false, "extremes");
      expect_product(*kernels, tile_weight(dtype, values, out, in), x, tokens, false, "extremes");
    }
}

// Infinity in a column that a row keeps arrives, and in one that it does not keep is never touched: not even by the
// entries that fill up lists and pairs.
TEST(SparseGemm, InfinityReachesTheRowsThatKeepIt) {
  set_thread_count(1);
  const int64_t out = 33, in = 72, tokens = 40;
  auto values = random_values(out * in, 12);
  for (float& value : values) value = std::abs(value) + 0.5f;
  for (int64_t row = 0; row < out; ++row)  // every fifth row is shorter than its neighbours
    for (int64_t column = 0; column < in; ++column)
      if ((row * 7 + column * 5 + column / 8) % 3 == 0 || (row % 5 == 0 && column > 40))
        values[row * in + column] = 0.0f;
  for (const DType dtype : kTypes)
    for (const GatherKernels* kernels : all_kernels())
      for (const int64_t column : {0, 5, 39, 71}) {
        auto x = random_values(tokens * in, 6);
        x[3 * in + column] = std::numeric_limits<float>::infinity();
        std::vector<float> y(tokens * out, kNan);
        bit_weight(dtype, values, out, in).multiply(*kernels, {x.data(), tokens, in}, {}, {y.data(), tokens, out});
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t row = 0; row < out; ++row) {
            const bool expected = t == 3 && values[row * in + column] != 0.0f;
            ASSERT_EQ(std::isinf(y[t * out + row]), expected) << kernels->isa << " " << t << "," << row;
            ASSERT_FALSE(std::isnan(y[t * out + row])) << kernels->isa << " " << t << "," << row;
          }
      }
}

TEST(SparseGemm, SameBitsForEveryThreadCountAndBatch) {
  const int64_t out = 420, in = 700, tokens = 700;
  const auto x = random_values(tokens * in, 8);
  const auto bias = random_values(out, 2);
  const auto values = nm_values(out, in, {2, 4});
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Weight& weight : {tile_weight(dtype, values, out, in), bit_weight(dtype, values, out, in)})
      for (const GatherKernels* kernels : usable_tables<GatherKernels>()) {
        Matrix<float> expected(tokens, out);
        set_thread_count(1);
        weight.multiply(*kernels, {x.data(), tokens, in}, bias, expected.view());
        for (const int threads : {2, 3, 4, 5}) {
          set_thread_count(threads);
          Matrix<float> y(tokens, out);
          weight.multiply(*kernels, {x.data(), tokens, in}, bias, y.view());
          ASSERT_EQ(0, std::memcmp(y.data(), expected.data(), y.values().size_bytes())) << threads << " threads";
        }
        for (const auto& [first, count] :
             {std::pair<int64_t, int64_t>{0, 1}, {5, 2}, {100, 17}, {301, 64}, {63, 200}}) {
          Matrix<float> y(count, out);
          weight.multiply(*kernels, {x.data() + first * in, count, in}, bias, y.view());
          ASSERT_EQ(0, std::memcmp(y.data(), &expected(first, 0), y.values().size_bytes()))
              << kernels->isa << ", tokens " << first << " + " << count;
        }
      }
}

TEST(SparseGemm, NothingToMultiply) {
  const std::vector<float> bias = {1.5f, -2.0f};
  std::vector<float> y(6, kNan);
  const std::vector<int64_t> offsets = {0, 0, 0};
  sparse_gemm(BitRowsView{DType::f32, 2, 0, nullptr, nullptr, 0, offsets.data()}, {nullptr, 3, 0}, bias,
              {y.data(), 3, 2});
  EXPECT_EQ(y, (std::vector<float>{1.5f, -2.0f, 1.5f, -2.0f, 1.5f, -2.0f}));
  sparse_gemm(BitRowsView{DType::f32, 2, 0, nullptr, nullptr, 0, offsets.data()}, {nullptr, 0, 0}, {}, {nullptr, 0, 2});
}

TEST(SparseGemm, LinearGoesThisWayWhereThePlanSaysSo) {
  const int64_t out = 50, in = 96, tokens = 20;
  const auto values = nm_values(out, in, {2, 4});
  const auto bytes = stored(DType::bf16, values);
  const auto packed = pack_nm({2, 4}, DType::bf16, bytes, out, in);
  ASSERT_TRUE(packed.ok());
  const NmTiles tiles = make_nm_tiles(packed->view());
  const auto x = random_values(tokens * in, 1);
  LinearPlan plan;
  plan.paths.fill(LinearPath::sparse_gemm);
  const MatrixView<const float> inputs{x.data(), tokens, in};
  Matrix<float> of_rows(tokens, out), of_tiles(tokens, out);
  sparse_gemm(bit_rows(packed->view()), inputs, {}, of_rows.view());
  sparse_gemm(tiles.view(), inputs, {}, of_tiles.view());
  for (const auto& [weight, direct] :
       {std::pair<WeightView, const Matrix<float>*>{packed->view(), &of_rows}, {tiles.view(), &of_tiles}}) {
    const auto paths = possible_paths(weight, tokens);
    EXPECT_NE(std::find(paths.begin(), paths.end(), LinearPath::sparse_gemm), paths.end());
    Matrix<float> y(tokens, out);
    linear(weight, inputs, {}, y.view(), plan);
    EXPECT_EQ(0, std::memcmp(y.data(), direct->data(), y.values().size_bytes()));
  }
  const WeightView dense = DenseView{DType::bf16, out, in, bytes.data()};
  const auto paths = possible_paths(dense, tokens);
  EXPECT_EQ(std::find(paths.begin(), paths.end(), LinearPath::sparse_gemm), paths.end());
}

TEST(SparseGemm, DefaultPlanTakesItWhereItIsFaster) {
  const auto path = [](DType dtype, NmPattern pattern, int64_t tokens) {
    return default_plan(NmView{pattern, dtype, 64, 64, nullptr, nullptr}).path(tokens);
  };
  const LinearPath dense = LinearPath::dense_gemm;
  const LinearPath many = current_isa() >= Isa::avx2 ? LinearPath::sparse_gemm : dense;
  EXPECT_EQ(path(DType::f16, {2, 4}, 17), many);
  EXPECT_EQ(path(DType::f32, {4, 8}, 4096), many);
  EXPECT_EQ(path(DType::f16, {6, 8}, 512), dense);
  EXPECT_EQ(path(DType::bf16, {4, 8}, 512), has_bf16_gemm() ? dense : many);
  EXPECT_EQ(path(DType::bf16, {1, 4}, 512), many);
  EXPECT_EQ(default_plan(NmTilesView{DType::bf16, 64, 64, nullptr}).path(128), many);
  EXPECT_EQ(default_plan(NmTilesView{DType::bf16, 64, 64, nullptr, {6, 8}}).path(128), dense);
  EXPECT_EQ(default_plan(DenseView{DType::bf16, 64, 64, nullptr}).path(128), dense);
  for (const int64_t tokens : {1, 2, 4, 8}) EXPECT_EQ(path(DType::bf16, {2, 4}, tokens), LinearPath::few);
}

}  // namespace
}  // namespace esparse

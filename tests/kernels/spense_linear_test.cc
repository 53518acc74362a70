// Spense weights on every path: against the reference in double, and in the bits that are promised.
#include <gtest/gtest.h>

#include <limits>

#include "base/parallel.h"
#include "kernels/dense_gemm.h"
#include "kernels/elementwise.h"
#include "kernels/isa.h"
#include "kernels/linear.h"
#include "kernels/linear_group.h"
#include "kernels/reference.h"
#include "kernels/tile_kernels.h"

namespace esparse {
namespace {

using namespace testing_support;

constexpr int64_t kPadding = 3;  // floats between two rows of x and of y
// Of eight significant bits, to nearest: what kernels for bf16 weights may do to the inputs with AVX-512 BF16.
constexpr double kBf16Rounding = 0x1p-8;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

bool has_tiles_of_eights() { return kernels<TileKernels>().round_columns != nullptr; }

// A weight and the values that it stands for.
struct Weight {
  Weight(const SpenseLayout& layout, DType dtype, int64_t out, int64_t in, bool tiled, uint64_t seed)
      : values(random_values(out * in, seed)), bias(random_values(out, seed + 1)) {
    const int64_t region_rows = layout.split == SpenseSplit::out ? out - layout.dense : out;
    const int64_t region_columns = layout.split == SpenseSplit::out ? in : in - layout.dense;
    auto sparse = random_values(region_rows * region_columns, seed + 2);
    make_nm(sparse, region_columns, layout.pattern, seed);
    for (int64_t row = 0; row < region_rows; ++row)
      std::copy_n(sparse.begin() + row * region_columns, region_columns, values.begin() + row * in);
    values = rounded(dtype, values);
    packed = pack_spense(layout, dtype, stored(dtype, values), out, in).value();
    SpenseView spense = packed.view();
    if (tiled && (layout.pattern == NmPattern{2, 4} || (dtype == DType::bf16 && has_tiles_of_eights()))) {
      tiles = make_nm_tiles(packed.sparse.view());
      spense.sparse = tiles.view();
    }
    view = spense;
    plan = default_plan(view);
  }
  LinearTask task(MatrixView<float> y) const { return {&view, bias, y, &plan}; }
  MatrixView<const float> rows() const { return {values.data(), weight_out_features(view), weight_in_features(view)}; }

  std::vector<float> values, bias;
  SpenseMatrix packed;
  NmTiles tiles;
  WeightView view;
  LinearPlan plan;
};

// Rows with a gap of NaN behind each.
struct Padded {
  Padded(int64_t rows, int64_t cols, float value = kNan)
      : storage(rows * (cols + kPadding), value), view(storage.data(), rows, cols, cols + kPadding) {}
  static Padded random(int64_t rows, int64_t cols, uint64_t seed) {
    Padded padded(rows, cols);
    const auto values = random_values(rows * cols, seed);
    for (int64_t row = 0; row < rows; ++row)
      std::copy_n(values.begin() + row * cols, cols, padded.view.row(row).begin());
    return padded;
  }
  bool gaps_are_untouched() const {
    for (int64_t row = 0; row < view.rows; ++row)
      for (int64_t k = 0; k < kPadding; ++k)
        if (!std::isnan(view.data[row * view.stride + view.cols + k])) return false;
    return true;
  }
  std::vector<float> storage;
  MatrixView<float> view;
};

bool same_bits(const Padded& a, const Padded& b) {
  for (int64_t row = 0; row < a.view.rows; ++row)
    if (std::memcmp(a.view.row(row).data(), b.view.row(row).data(), a.view.row(row).size_bytes()) != 0) return false;
  return true;
}

LinearPlan only(LinearPath path) {
  LinearPlan plan;
  plan.paths.fill(path);
  return plan;
}

void expect_product(const Weight& weight, DType dtype, MatrixView<const float> x, const Padded& y,
                    const std::string& how) {
  const bool rounds = current_isa() == Isa::avx512_bf16 && dtype == DType::bf16;
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t o = 0; o < y.view.cols; ++o) {
      auto reference = dot_reference(weight.rows().row(o).data(), x.row(t).data(), x.cols);
      reference.value += weight.bias[o];
      reference.magnitude += std::abs(weight.bias[o]);
      ASSERT_NEAR(y.view(t, o), reference.value,
                  dot_tolerance(reference, x.cols) + (rounds ? kBf16Rounding * reference.magnitude : 0))
          << how << " at token " << t << ", row " << o;
    }
  EXPECT_TRUE(y.gaps_are_untouched()) << how;
}

struct Case {
  SpenseSplit split;
  NmPattern pattern;
  bool tiled;
};

class SpenseLinear : public testing::TestWithParam<Case> {
 protected:
  void TearDown() override { set_thread_count(0); }
};

// Every path; borders of the regions inside and between tiles and slices, one dense row or column, and all but one.
TEST_P(SpenseLinear, AgreesWithReferenceOnEveryPath) {
  set_thread_count(2);
  const auto [split, pattern, tiled] = GetParam();
  for (const auto& [out, in] : {std::pair{2, 5}, {37, 70}, {130, 64}, {64, 167}, {1100, 40}})
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      const int64_t size = split == SpenseSplit::out ? out : in;
      for (const int64_t dense : {int64_t{1}, size / 4 + 1, size / 2, size - 1}) {
        const Weight weight({split, pattern, dense}, dtype, out, in, tiled, out + in);
        for (const int64_t tokens : {1, 2, 7, 16, 33}) {
          const Padded x = Padded::random(tokens, in, 3);
          for (const LinearPath path : possible_paths(weight.view, tokens)) {
            Padded y(tokens, out);
            linear(weight.view, x.view, weight.bias, y.view, only(path));
            expect_product(weight, dtype, x.view, y,
                           fmt::format("{} x {}, dense {}, {} tokens, {}, {}", out, in, dense, tokens,
                                       dtype_name(dtype), path_name(path)));
          }
        }
      }
    }
}

TEST_P(SpenseLinear, SameBitsForEveryThreadCount) {
  const auto [split, pattern, tiled] = GetParam();
  const Weight weight({split, pattern, 96}, DType::bf16, 1200, 258, tiled, 1);
  for (const int64_t tokens : {1, 3, 16, 130, 600}) {
    const Padded x = Padded::random(tokens, 258, 3);
    for (const LinearPath path : possible_paths(weight.view, tokens)) {
      std::vector<Padded> results;
      for (const int threads : {1, 2, 3, 5}) {
        set_thread_count(threads);
        results.emplace_back(tokens, 1200);
        linear(weight.view, x.view, {}, results.back().view, only(path));
        EXPECT_TRUE(same_bits(results.front(), results.back())) << tokens << " tokens, " << path_name(path);
      }
    }
  }
}

TEST_P(SpenseLinear, FewGivesATokenTheSameBitsWhateverComesWithIt) {
  const auto [split, pattern, tiled] = GetParam();
  const Weight weight({split, pattern, 40}, DType::bf16, 203, 150, tiled, 1);
  const Padded x = Padded::random(16, 150, 3);
  Padded together(16, 203), alone(16, 203);
  linear(weight.view, x.view, weight.bias, together.view, only(LinearPath::few));
  for (int64_t t = 0; t < 16; ++t)
    linear(weight.view, x.view.rows_from(t, 1), weight.bias, alone.view.rows_from(t, 1), only(LinearPath::few));
  EXPECT_TRUE(same_bits(together, alone));
}

// As gate and up of a neuron-aligned block, and in one group with another form.
TEST_P(SpenseLinear, GroupsAndGatesGiveTheSameBits) {
  const auto [split, pattern, tiled] = GetParam();
  for (const int64_t rows : {40, 1300})
    for (const int64_t tokens : {1, 3, 20}) {
      set_thread_count(3);
      const Weight gate({split, pattern, 24}, DType::bf16, rows, 96, tiled, 1);
      const Weight up({split, pattern, 24}, DType::bf16, rows, 96, tiled, 2);
      const Padded x = Padded::random(tokens, 96, 3);
      Padded g(tokens, rows), u(tokens, rows), expected(tokens, rows), scratch(tokens, rows);
      linear(gate.view, x.view, gate.bias, expected.view, gate.plan);
      linear(up.view, x.view, up.bias, scratch.view, up.plan);
      linear_group(std::vector{gate.task(g.view), up.task(u.view)}, x.view);
      EXPECT_TRUE(same_bits(g, expected) && same_bits(u, scratch)) << rows << " rows, " << tokens << " tokens";
      gated_linear(gate.task(g.view), up.task(u.view), x.view);
      silu_multiply(expected.view, scratch.view);
      EXPECT_TRUE(same_bits(g, expected)) << rows << " rows, " << tokens << " tokens";
    }
}

INSTANTIATE_TEST_SUITE_P(Forms, SpenseLinear,
                         testing::Values(Case{SpenseSplit::out, {2, 4}, true}, Case{SpenseSplit::in, {2, 4}, true},
                                         Case{SpenseSplit::out, {2, 4}, false}, Case{SpenseSplit::in, {2, 4}, false},
                                         Case{SpenseSplit::out, {6, 8}, false}, Case{SpenseSplit::in, {3, 7}, false},
                                         Case{SpenseSplit::out, {6, 8}, true}, Case{SpenseSplit::in, {4, 8}, true}),
                         [](const auto& instance) {
                           const Case& c = instance.param;
                           return fmt::format("{}_{}of{}{}", spense_axis_name(c.split), c.pattern.kept, c.pattern.group,
                                              c.tiled ? "_tiles" : "");
                         });

// What the columns of a Spense weight rest on.
TEST(DenseGemm, AddsToWhatIsThere) {
  const int64_t rows = 300, columns = 70;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    for (const int64_t tokens : {1, 37, 600}) {
      const auto values = rounded(dtype, random_values(rows * columns, 1));
      const auto bytes = stored(dtype, values);
      const Padded x = Padded::random(tokens, columns, 2);
      const Padded before = Padded::random(tokens, rows, 3);
      Padded y = Padded::random(tokens, rows, 3);
      dense_gemm(DenseView{dtype, rows, columns, bytes.data()}, x.view, {}, y.view, Into::add);
      const bool rounds = current_isa() == Isa::avx512_bf16 && dtype == DType::bf16;
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t r = 0; r < rows; ++r) {
          auto reference = dot_reference(values.data() + r * columns, x.view.row(t).data(), columns);
          reference.value += before.view(t, r);
          reference.magnitude += std::abs(before.view(t, r));
          ASSERT_NEAR(y.view(t, r), reference.value,
                      dot_tolerance(reference, columns) + (rounds ? kBf16Rounding * reference.magnitude : 0))
              << t << "," << r;
        }
      EXPECT_TRUE(y.gaps_are_untouched());
    }
}

}  // namespace
}  // namespace esparse

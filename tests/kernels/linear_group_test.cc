#include "kernels/linear_group.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/parallel.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/reference.h"

namespace esparse {
namespace {

using namespace testing_support;

// A weight in each form it can have, with a bias and the plan of that form.
struct Weight {
  Weight(int form, DType dtype, int64_t rows, int64_t columns, uint64_t seed) : bias(random_values(rows, seed + 1)) {
    auto values = random_values(rows * columns, seed);
    if (form > 0) make_nm(values, columns, {2, 4}, seed);
    bytes = stored(dtype, values);
    view = DenseView{dtype, rows, columns, bytes.data()};
    if (form > 0) {
      packed = pack_nm({2, 4}, dtype, bytes, rows, columns).value();
      view = packed.view();
    }
    if (form == 2) {
      tiles = make_nm_tiles(packed.view());
      view = tiles.view();
    }
    plan = default_plan(view);
  }
  LinearTask task(MatrixView<float> y) const { return {&view, bias, y, &plan}; }

  std::vector<float> bias;
  std::vector<std::byte> bytes;
  NmMatrix packed;
  NmTiles tiles;
  WeightView view;
  LinearPlan plan;
};

Matrix<float> poisoned(int64_t rows, int64_t cols) {
  Matrix<float> matrix(rows, cols);
  for (float& value : matrix.values()) value = std::numeric_limits<float>::quiet_NaN();
  return matrix;
}

bool same_bits(const Matrix<float>& a, const Matrix<float>& b) {
  return std::memcmp(a.data(), b.data(), a.values().size_bytes()) == 0;
}

// Forms mixed in one group, rows that fill no slice, few tokens and many.
TEST(LinearGroup, TheSameBitsAsEachLinearAlone) {
  for (const int64_t columns : {64, 1052})
    for (const int64_t tokens : {1, 3, 20}) {
      const Weight weights[] = {{0, DType::bf16, 700, columns, 1},
                                {1, DType::f16, 49, columns, 2},
                                {2, DType::bf16, 333, columns, 3},
                                {0, DType::f32, 5, columns, 4}};
      const auto x = random_matrix(tokens, columns, 9);
      for (const int threads : {1, 2, 7}) {
        set_thread_count(threads);
        std::vector<Matrix<float>> together, alone;
        std::vector<LinearTask> tasks;
        for (const Weight& weight : weights) together.push_back(poisoned(tokens, weight_out_features(weight.view)));
        for (size_t i = 0; i < together.size(); ++i) tasks.push_back(weights[i].task(together[i].view()));
        linear_group(tasks, x.view());
        for (size_t i = 0; i < together.size(); ++i) {
          auto y = poisoned(tokens, together[i].cols());
          linear(weights[i].view, x.view(), weights[i].bias, y.view(), weights[i].plan);
          EXPECT_TRUE(same_bits(together[i], y)) << columns << " columns, " << tokens << " tokens, weight " << i;
        }
      }
    }
}

TEST(GatedLinear, IsSiluOfGateTimesUp) {
  for (const int64_t rows : {5, 700})
    for (const int64_t tokens : {1, 3, 20})
      for (int form = 0; form < 3; ++form) {
        const Weight gate(form, DType::bf16, rows, 96, 1), up(form, DType::f16, rows, 96, 2);
        const auto x = random_matrix(tokens, 96, 3);
        auto g = poisoned(tokens, rows), u = g, expected = g, scratch = g;
        gated_linear(gate.task(g.view()), up.task(u.view()), x.view());
        linear(gate.view, x.view(), gate.bias, expected.view(), gate.plan);
        linear(up.view, x.view(), up.bias, scratch.view(), up.plan);
        silu_multiply(expected.view(), scratch.view());
        EXPECT_TRUE(same_bits(g, expected)) << rows << " rows, " << tokens << " tokens, form " << form;
      }
}

}  // namespace
}  // namespace esparse

// The layer solver: SparseGPT against its PyTorch reference on real inputs, refit against normal equations, orders that
// are undone, linears that are spared, trouble that is told.
#include "prune/layer_problem.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/parallel.h"
#include "linalg/gram.h"
#include "prune/descent.h"
#include "prune/layer_quality.h"
#include "prune/method_cases.h"
#include "prune/refit.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

LinearRecipe recipe_of(std::initializer_list<std::pair<const char*, const char*>> settings) {
  Recipe recipe;
  for (const auto& [name, value] : settings) EXPECT_OK(recipe.set(name, value));
  EXPECT_OK(recipe.base.validate());
  return recipe.base;
}

InputStatistics full_statistics(const Matrix<float>& inputs, int64_t sequences) {
  InputStatistics statistics;
  statistics.sequences = sequences;
  statistics.tokens = inputs.rows();
  statistics.sum.resize(inputs.cols());
  statistics.sum_squares.resize(inputs.cols());
  for (int64_t t = 0; t < inputs.rows(); ++t)
    for (int64_t j = 0; j < inputs.cols(); ++j) {
      statistics.sum[j] += inputs(t, j);
      statistics.sum_squares[j] += static_cast<double>(inputs(t, j)) * inputs(t, j);
    }
  statistics.gram = Matrix<float>(inputs.cols(), inputs.cols());
  add_gram(inputs.view(), statistics.gram.view());
  mirror_upper(statistics.gram.view());
  statistics.sample = inputs;
  return statistics;
}

Matrix<float> random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Matrix<float> matrix(rows, cols);
  for (float& value : matrix.values()) value = normal(random);
  return matrix;
}

LayerProblem make_problem(const Matrix<float>& weight, const Matrix<float>& inputs, const LinearRecipe& recipe) {
  LayerProblem problem;
  problem.linears.push_back({"layer", weight, recipe});
  problem.statistics = full_statistics(inputs, 4);
  return problem;
}

TEST(SparseGpt, AgreesWithItsReference) {
  for (const MethodCase& method : method_cases())
    for (const auto& [result, pattern] :
         {std::pair{"sparsegpt.2of4", "2:4"}, {"sparsegpt.4of8", "4:8"}, {"sparsegpt.50block", "50%"}}) {
      const LinearRecipe recipe =
          recipe_of({{"saliency", "obs"}, {"pattern", pattern}, {"update", "obs"}, {"damping", "0.01"}});
      const auto solution = solve_layer(make_problem(method.weight, method.inputs, recipe));
      ASSERT_OK(solution);
      const Matrix<float>& got = solution->linears[0].weight;
      Matrix<uint8_t> mask(got.rows(), got.cols());
      for (size_t k = 0; k < got.values().size(); ++k) mask.values()[k] = got.values()[k] != 0;
      EXPECT_LE(mask_difference(mask, method.mask(result)), 1e-3) << method.name << " " << result;
      EXPECT_LE(relative_difference(sampled_outputs(method.inputs, got), method.outputs(result)), 1e-3)
          << method.name << " " << result;
    }
}

// The recipe of the published methods leads to the reference's masks by way of the solver, too.
TEST(SolveLayer, PublishedMasksOnRealInputs) {
  for (const MethodCase& method : method_cases())
    for (const auto& [saliency, result] : {std::pair{"wanda", "wanda.2of4"}, {"ria", "ria.2of4"}}) {
      LayerProblem problem = make_problem(method.weight, method.inputs, recipe_of({{"saliency", saliency}}));
      problem.statistics.sequences = method.sequences;
      const auto solution = solve_layer(std::move(problem));
      ASSERT_OK(solution);
      const Matrix<float> expected = masked(method.weight, method.mask(result));
      EXPECT_TRUE(std::ranges::equal(solution->linears[0].weight.values(), expected.values())) << method.name;
    }
}

// Each step of the best recipe lowers the error on the inputs it was fitted to; the mask stays legal in the new order.
TEST(SolveLayer, EveryStepHelpsOnRealInputs) {
  for (const MethodCase& method : method_cases()) {
    std::vector<double> errors;
    for (const auto& [saliency, shuffle, update] : {std::tuple{"magnitude", "none", "none"},
                                                    {"wanda", "none", "none"},
                                                    {"obs", "none", "obs"},
                                                    {"obs", "global+local", "obs"},
                                                    {"obs", "global+local", "obs+descent"}}) {
      const auto solution = solve_layer(make_problem(
          method.weight, method.inputs,
          recipe_of({{"saliency", saliency}, {"pattern", "2:4"}, {"shuffle", shuffle}, {"update", update}})));
      ASSERT_OK(solution);
      errors.push_back(solution->linears[0].output_error);
      const ChannelOrder& order = solution->order;
      for (int64_t i = 0; i < method.weight.rows(); ++i)
        for (int64_t k = 0; k < method.weight.cols(); k += 4) {
          int kept = 0;
          for (int64_t j = k; j < k + 4; ++j) kept += solution->linears[0].weight(i, order.empty() ? j : order[j]) != 0;
          ASSERT_LE(kept, 2);
        }
    }
    EXPECT_DOUBLE_EQ(errors[0], errors[0]);
    for (size_t step = 1; step < errors.size(); ++step)
      EXPECT_LT(errors[step], errors[step - 1]) << method.name << " " << step;
    EXPECT_LT(errors.back(), 0.6 * errors[2]) << method.name;
  }
}

TEST(SolveLayer, AdmmBeatsItsPlainMask) {
  for (const MethodCase& method : method_cases())
    for (const char* pattern : {"2:4", "75%"}) {
      const auto error = [&](const char* saliency, const char* update) {
        const auto solution = solve_layer(make_problem(
            method.weight, method.inputs,
            recipe_of({{"saliency", saliency}, {"pattern", pattern}, {"scope", "layer"}, {"update", update}})));
        EXPECT_OK(solution);
        return solution->linears[0].output_error;
      };
      EXPECT_LT(error("obs", "admm"), error("wanda", "none")) << method.name << " " << pattern;
    }
}

// Descent on an unstructured mask keeps its number of weights.
TEST(SolveLayer, UnstructuredKeepsItsSparsity) {
  for (const char* update : {"none", "obs", "admm", "dsnot", "obs+descent", "descent"}) {
    const Matrix<float> weight = random_matrix(13, 70, 1), inputs = random_matrix(300, 70, 2);
    const auto solution = solve_layer(make_problem(
        weight, inputs, recipe_of({{"saliency", "wanda"}, {"pattern", "60%"}, {"scope", "row"}, {"update", update}})));
    ASSERT_OK(solution);
    const auto kept = std::ranges::count_if(solution->linears[0].weight.values(), [](float w) { return w != 0; });
    EXPECT_EQ(kept, 13 * 70 - 13 * 42) << update;
  }
}

// W' = (W (C + lambda) + R) (G + lambda)^-1, so W' (G + lambda) must give back the right-hand side.
TEST(Refit, SolvesItsNormalEquations) {
  const Matrix<float> weight = random_matrix(6, 20, 3), inputs = random_matrix(200, 20, 4);
  Matrix<float> dense_inputs = inputs;
  const Matrix<float> noise = random_matrix(200, 20, 5), lost = random_matrix(200, 6, 6);
  for (size_t k = 0; k < dense_inputs.values().size(); ++k) dense_inputs.values()[k] += 0.3f * noise.values()[k];
  InputStatistics statistics = full_statistics(inputs, 1);
  statistics.cross = Matrix<float>(20, 20);
  add_cross(dense_inputs.view(), inputs.view(), statistics.cross.view());
  statistics.residual = Matrix<float>(6, 20);
  add_cross(lost.view(), inputs.view(), statistics.residual.view());
  for (const bool residual : {false, true}) {
    const auto fitted = refit_weight(weight.view(), statistics, 0.05, residual);
    ASSERT_OK(fitted);
    double mean = 0;
    for (int64_t j = 0; j < 20; ++j) mean += statistics.gram(j, j) / 20;
    for (int64_t i = 0; i < 6; ++i)
      for (int64_t j = 0; j < 20; ++j) {
        double left = 0.05 * mean * (*fitted)(i, j), right = 0.05 * mean * weight(i, j);
        for (int64_t k = 0; k < 20; ++k) {
          left += static_cast<double>((*fitted)(i, k)) * statistics.gram(k, j);
          right += static_cast<double>(weight(i, k)) * statistics.cross(k, j);
        }
        if (residual) right += statistics.residual(i, j);
        EXPECT_NEAR(left, right, 2e-4 * (std::abs(right) + 100));
      }
  }
}

// Equal streams: the dense weights are the answer already.
TEST(Refit, ChangesNothingWhenNothingWasLost) {
  const Matrix<float> weight = random_matrix(5, 16, 7), inputs = random_matrix(100, 16, 8);
  InputStatistics statistics = full_statistics(inputs, 1);
  statistics.cross = statistics.gram;
  const auto fitted = refit_weight(weight.view(), statistics, 0.01, false);
  ASSERT_OK(fitted);
  for (size_t k = 0; k < weight.values().size(); ++k)
    EXPECT_NEAR(fitted->values()[k], weight.values()[k], 1e-4f * std::abs(weight.values()[k]) + 1e-5f);
}

// A channel that never fires gets no weight and does no harm; fewer tokens than channels need no care either.
TEST(SolveLayer, DeadAndDependentChannels) {
  for (const char* update : {"obs", "admm", "descent", "obs+descent"}) {
    const Matrix<float> weight = random_matrix(8, 24, 9);
    Matrix<float> inputs = random_matrix(7, 24, 10);  // rank 7
    for (int64_t t = 0; t < inputs.rows(); ++t) inputs(t, 3) = inputs(t, 17) = 0.0f;
    const auto solution = solve_layer(
        make_problem(weight, inputs, recipe_of({{"saliency", "obs"}, {"update", update}, {"damping", "0"}})));
    ASSERT_OK(solution);
    for (int64_t i = 0; i < 8; ++i) {
      EXPECT_EQ(solution->linears[0].weight(i, 3), 0.0f) << update;
      for (int64_t j = 0; j < 24; ++j) EXPECT_TRUE(std::isfinite(solution->linears[0].weight(i, j)));
    }
    EXPECT_GT(solution->linears[0].damping, 0) << "the ladder must tell";
    EXPECT_LE(solution->linears[0].output_error, solution->linears[0].magnitude_error) << update;
  }
}

TEST(SolveLayer, AllInputsZero) {
  for (const char* update : {"none", "obs", "admm", "descent", "dsnot"}) {
    const auto solution = solve_layer(make_problem(random_matrix(4, 8, 1), Matrix<float>(5, 8),
                                                   recipe_of({{"saliency", "wanda"}, {"update", update}})));
    ASSERT_OK(solution);
    for (float value : solution->linears[0].weight.values()) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(SolveLayer, SparedLinearsKeepTheirWeights) {
  LayerProblem problem = make_problem(random_matrix(8, 16, 1), random_matrix(50, 16, 2),
                                      recipe_of({{"saliency", "wanda"}, {"shuffle", "global+local"}}));
  const Matrix<float> spared = random_matrix(4, 16, 3);
  problem.linears.push_back({"spared", spared, recipe_of({{"saliency", "wanda"}, {"pattern", "dense"}})});
  const auto solution = solve_layer(std::move(problem));
  ASSERT_OK(solution);
  EXPECT_FALSE(solution->order.empty());
  EXPECT_TRUE(std::ranges::equal(solution->linears[1].weight.values(), spared.values()));
}

// Spense by columns: dense ones come last in the order and move only by the update; N:M holds in front of them.
TEST(SolveLayer, SpenseByColumns) {
  const std::vector<int32_t> dense = {1, 2, 8, 17, 30, 31};
  const Matrix<float> weight = random_matrix(20, 32, 3), inputs = random_matrix(200, 32, 4);
  for (const auto& [saliency, shuffle, update] : {std::tuple{"magnitude", "none", "none"},
                                                  {"wanda", "none", "dsnot"},
                                                  {"wanda", "global+local", "none"},
                                                  {"obs", "none", "obs"},
                                                  {"obs", "lsa", "admm"},
                                                  {"wanda", "none", "obs"},
                                                  {"obs", "global+local", "obs+descent"},
                                                  {"obs", "local", "descent"}})
    for (const char* pattern : {"spense:0.2", "spense:0.2:3:5"}) {
      LayerProblem problem = make_problem(
          weight, inputs,
          recipe_of({{"saliency", saliency}, {"pattern", pattern}, {"shuffle", shuffle}, {"update", update}}));
      const NmPattern nm = problem.linears[0].recipe.target.pattern;
      problem.last_channels = dense;
      const auto solution = solve_layer(std::move(problem));
      ASSERT_OK(solution);
      const std::string what = fmt::format("{} {} {} {}", saliency, shuffle, update, pattern);
      const LinearSolution& linear = solution->linears[0];
      const ChannelOrder& order = solution->order;
      ASSERT_EQ(order.size(), 32u) << what;
      EXPECT_TRUE(std::ranges::equal(std::span(order).last(6), dense)) << what;
      EXPECT_EQ(std::ranges::is_sorted(std::span(order).first(26)), std::string_view(shuffle) == "none") << what;
      for (int64_t i = 0; i < 20; ++i) {
        for (int64_t k = 0; k < 26; k += nm.group) {
          int64_t kept = 0, width = std::min<int64_t>(nm.group, 26 - k);
          for (int64_t j = k; j < k + width; ++j) kept += linear.weight(i, order[j]) != 0;
          ASSERT_LE(kept, nm.kept_in(width)) << what;
        }
        const bool moves = std::string_view(update).find("obs") != std::string_view::npos ||
                           std::string_view(update).find("a") != std::string_view::npos ||
                           std::string_view(update).find("descent") != std::string_view::npos;
        for (const int32_t channel : dense) EXPECT_EQ(linear.weight(i, channel) == weight(i, channel), !moves) << what;
      }
      if (std::string_view(update) != "dsnot") {  // promises the mean of the outputs, not their squares
        EXPECT_LE(linear.output_error, linear.magnitude_error * (1 + 1e-9)) << what;
      }
      EXPECT_GT(linear.retained, 0.6) << what;
      EXPECT_LT(linear.retained, 1) << what;
    }
}

// Spense by rows: dense ones stay as they are, the others are what they would be without them.
TEST(SolveLayer, SpenseByRows) {
  const std::vector<int32_t> dense = {0, 5, 6, 19};
  const Matrix<float> weight = random_matrix(20, 32, 3), inputs = random_matrix(200, 32, 4);
  Matrix<float> others(16, 32);
  for (int64_t i = 0, next = 0; i < 20; ++i)
    if (std::ranges::find(dense, i) == dense.end()) std::ranges::copy(weight.row(i), others.row(next++).begin());
  for (const auto& [saliency, shuffle, update] : {std::tuple{"wanda", "none", "none"},
                                                  {"obs", "global+local", "obs"},
                                                  {"obs", "global+local", "admm+descent"},
                                                  {"wanda", "none", "dsnot"}}) {
    const auto solve = [&](const Matrix<float>& of, const char* pattern, const std::vector<int32_t>& dense_rows) {
      LayerProblem problem = make_problem(
          of, inputs,
          recipe_of({{"saliency", saliency}, {"pattern", pattern}, {"shuffle", shuffle}, {"update", update}}));
      problem.linears[0].dense_rows = dense_rows;
      auto solution = solve_layer(std::move(problem));
      EXPECT_OK(solution);
      return std::move(solution).value();
    };
    const LayerSolution whole = solve(weight, "spense:0.2", dense), part = solve(others, "2:4", {});
    EXPECT_EQ(whole.order, part.order) << saliency << update;
    for (int64_t i = 0, next = 0; i < 20; ++i) {
      const bool is_dense = std::ranges::find(dense, i) != dense.end();
      const auto expected = is_dense ? weight.row(i) : part.linears[0].weight.row(next++);
      EXPECT_TRUE(std::ranges::equal(whole.linears[0].weight.row(i), expected)) << update << " row " << i;
    }
    EXPECT_LT(whole.linears[0].output_error, part.linears[0].output_error);
    EXPECT_GT(whole.linears[0].retained, part.linears[0].retained);
  }
}

// One order for a linear that is Spense and one that is not, and one for linears that are all spared.
TEST(SolveLayer, LastChannelsOrderWhateverReadsThem) {
  const std::vector<int32_t> dense = {0, 3, 9, 12};
  LayerProblem problem = make_problem(random_matrix(8, 16, 1), random_matrix(50, 16, 2),
                                      recipe_of({{"saliency", "wanda"}, {"pattern", "spense"}}));
  const Matrix<float> plain = random_matrix(4, 16, 3);
  problem.linears.push_back({"plain", plain, recipe_of({{"saliency", "wanda"}, {"pattern", "2:4"}})});
  problem.last_channels = dense;
  auto solution = solve_layer(std::move(problem));
  ASSERT_OK(solution);
  EXPECT_EQ(solution->order, (ChannelOrder{1, 2, 4, 5, 6, 7, 8, 10, 11, 13, 14, 15, 0, 3, 9, 12}));
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t k = 0; k < 16; k += 4) {
      int kept = 0;
      for (int64_t j = k; j < k + 4; ++j) kept += solution->linears[1].weight(i, solution->order[j]) != 0;
      EXPECT_EQ(kept, 2) << "groups are formed in the common order";
    }
  LayerProblem spared =
      make_problem(plain, random_matrix(50, 16, 2), recipe_of({{"saliency", "wanda"}, {"pattern", "dense"}}));
  spared.last_channels = dense;
  solution = solve_layer(std::move(spared));
  ASSERT_OK(solution);
  EXPECT_EQ(solution->order.size(), 16u);
  EXPECT_EQ(solution->order.back(), 12);
}

// Heads bind the order: the last heads are dense and stay where they are; the others are ordered within themselves,
// alike for the query heads of one KV head.
TEST(SolveLayer, SpenseOfHeadsKeepsThemInPlace) {
  std::vector<int32_t> dense(8);
  for (int32_t k = 0; k < 8; ++k) dense[k] = 24 + k;
  for (const char* shuffle : {"none", "global+local"}) {
    LayerProblem problem =
        make_problem(random_matrix(12, 32, 1), random_matrix(80, 32, 2),
                     recipe_of({{"saliency", "obs"}, {"pattern", "spense"}, {"shuffle", shuffle}, {"update", "obs"}}));
    problem.freedom = {4, 2};  // heads of 8 channels; heads 2 and 3 share a KV head
    problem.last_channels = dense;
    const auto solution = solve_layer(std::move(problem));
    ASSERT_OK(solution);
    const ChannelOrder order = solution->order.empty() ? identity_order(32) : solution->order;
    for (int64_t k = 0; k < 32; ++k) EXPECT_EQ(order[k] / 8, k / 8);
    for (int64_t k = 0; k < 8; ++k) EXPECT_EQ(order[k] + 8, order[k + 8]);
    for (int64_t k = 16; k < 24; ++k) EXPECT_EQ(order[k] + 8, order[k + 8]);
    for (int64_t i = 0; i < 12; ++i) {
      for (int64_t k = 0; k < 24; k += 4) {
        int kept = 0;
        for (int64_t j = k; j < k + 4; ++j) kept += solution->linears[0].weight(i, order[j]) != 0;
        EXPECT_LE(kept, 2);
      }
      for (int64_t k = 24; k < 32; ++k) EXPECT_NE(solution->linears[0].weight(i, order[k]), 0);
    }
  }
}

TEST(SolveLayer, SameBytesForAnyThreadCount) {
  for (const char* update : {"obs+descent", "admm"}) {
    Matrix<float> first;
    for (int threads : {1, 2, 4}) {
      set_thread_count(threads);
      const auto solution =
          solve_layer(make_problem(random_matrix(90, 64, 1), random_matrix(200, 64, 2),
                                   recipe_of({{"saliency", "obs"}, {"shuffle", "global+local"}, {"update", update}})));
      ASSERT_OK(solution);
      if (threads == 1) first = solution->linears[0].weight;
      EXPECT_TRUE(std::ranges::equal(solution->linears[0].weight.values(), first.values())) << update;
    }
    set_thread_count(0);
  }
}

TEST(CheckSiteAgrees, NamesWhatDiffers) {
  const LinearRecipe base = recipe_of({{"saliency", "wanda"}, {"shuffle", "global"}});
  const LinearRecipe other = recipe_of({{"saliency", "wanda"}, {"shuffle", "global"}, {"pattern", "4:8"}});
  EXPECT_FAILURE(check_site_agrees({base, other}), StatusKind::invalid_argument, "'pattern' differs");
  EXPECT_FAILURE(check_site_agrees({base, recipe_of({{"saliency", "wanda"}})}), StatusKind::invalid_argument,
                 "'shuffle' differs");
  EXPECT_FAILURE(check_site_agrees({base, recipe_of({{"saliency", "wanda"}, {"shuffle", "global"}, {"damping", "1"}})}),
                 StatusKind::invalid_argument, "'damping' differs");
  EXPECT_OK(check_site_agrees({base, recipe_of({{"saliency", "magnitude"}, {"shuffle", "global"}})}));
  EXPECT_OK(check_site_agrees({base, recipe_of({{"saliency", "wanda"}, {"pattern", "dense"}})}));
}

TEST(OutputError, WorkedExample) {
  Matrix<float> sample(1, 2), weight(1, 2), target(1, 2);
  sample(0, 0) = 1, sample(0, 1) = 2;
  target(0, 0) = 3, target(0, 1) = 1;  // output 5
  weight(0, 0) = 3, weight(0, 1) = 0;  // output 3
  EXPECT_DOUBLE_EQ(output_error(sample.view(), weight.view(), target.view()), 4.0 / 25.0);
  EXPECT_DOUBLE_EQ(output_error(Matrix<float>(3, 2).view(), weight.view(), target.view()), 0.0);
}

}  // namespace
}  // namespace esparse

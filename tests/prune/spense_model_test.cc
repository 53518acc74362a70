// Spense on whole (tiny) models: the same neurons stay dense in gate, up and down, what is stored computes what was
// pruned, and recipes that do not fit together are refused.
#include <gtest/gtest.h>

#include <set>

#include "base/parallel.h"
#include "prune/golden_models.h"
#include "prune/prune_model.h"

namespace esparse {
namespace {

Recipe spense_recipe(std::initializer_list<std::pair<const char*, const char*>> settings) {
  Recipe recipe = make_recipe("wanda", "spense:0.25", "none");
  for (const auto& [name, value] : settings) EXPECT_OK(recipe.set(name, value));
  return recipe;
}

const SpenseView& spense_of(const LinearLayer& linear) { return std::get<SpenseView>(linear.weight()); }

class SpenseModel : public testing::TestWithParam<const char*> {};

TEST_P(SpenseModel, SurvivesSavingAndLoadingBitForBit) {
  for (const auto& [selection, mode, shuffle, update] :
       {std::tuple{"norm", "neuron-aligned", "none", "none"},
        {"norm", "neuron-aligned", "global+local", "refit+obs+descent"},
        {"drop", "per-matrix", "global+local", "obs"},
        {"loss", "neuron-aligned", "lsa", "admm"},
        {"tail", "per-matrix", "none", "dsnot"},
        {"random", "neuron-aligned", "local", "none"}})
    for (const char* pattern : {"spense:0.25", "spense:0.5:3:5"}) {
      SCOPED_TRACE(fmt::format("{} {} {} {} {}", selection, mode, shuffle, update, pattern));
      const auto model = load_golden(GetParam());
      const auto windows = random_windows(*model, 4, 2);
      const Recipe recipe = spense_recipe({{"pattern", pattern},
                                           {"selection", selection},
                                           {"spense_mode", mode},
                                           {"shuffle", shuffle},
                                           {"update", update}});
      const auto report = prune_model(*model, recipe, windows);
      ASSERT_TRUE(report.ok()) << report.status().message();
      for (const PrunedLinear& linear : report->linears) {
        ASSERT_TRUE(linear.layout.has_value()) << linear.name;
        EXPECT_EQ(linear.pattern, pattern);
        EXPECT_LT(linear.retained, 1);
        EXPECT_EQ(linear.layout->pattern, recipe.base.target.pattern);
      }
      const bool aligned = std::string_view(mode) == "neuron-aligned";
      for (const DecoderBlock& block : model->blocks()) {
        EXPECT_EQ(spense_of(block.q).split, SpenseSplit::in);
        EXPECT_EQ(spense_of(block.o).dense_count() % model->config().head_dim, 0) << "whole heads";
        EXPECT_EQ(spense_of(block.up).split, aligned ? SpenseSplit::out : SpenseSplit::in);
        EXPECT_EQ(spense_of(block.down).split, SpenseSplit::in);
        EXPECT_EQ(spense_of(block.down).dense_count(),
                  spense_dense_count(model->config().intermediate_size, recipe.base.target.dense_fraction));
        if (!aligned) continue;
        EXPECT_EQ(spense_of(block.up).dense_count(), spense_of(block.down).dense_count());
      }
      const TempDir directory;
      const auto reloaded = save_and_reload(*model, directory.path());
      const auto ids = random_windows(*model, 1, 3)[0];
      const Matrix<float> logits = logits_of(*model, ids);
      EXPECT_TRUE(same_bits(logits, logits_of(*reloaded, ids)));
      make_dense(*reloaded);  // other kernels may round differently, no more
      EXPECT_LT(largest_difference(logits_of(*reloaded, ids), logits), std::max(1e-5f, rounding_of(*model)));
    }
}

// Row of the old matrix -> row of the new one, for rows that are only permuted; columns follow `order`.
std::vector<int64_t> places_of(const Matrix<float>& before, const Matrix<float>& after,
                               const std::vector<int32_t>& order, int64_t first, int64_t count) {
  std::vector<int64_t> places;
  for (int64_t row = first; row < first + count; ++row)
    for (int64_t old = 0; old < before.rows(); ++old) {
      bool same = true;
      for (int64_t k = 0; k < before.cols() && same; ++k)
        same = after(row, k) == before(old, order.empty() ? k : order[k]);
      if (same) places.push_back(old);
    }
  return places;
}

Matrix<float> transposed(const Matrix<float>& matrix) {
  Matrix<float> result(matrix.cols(), matrix.rows());
  for (int64_t i = 0; i < matrix.rows(); ++i)
    for (int64_t j = 0; j < matrix.cols(); ++j) result(j, i) = matrix(i, j);
  return result;
}

// Without an update dense rows and columns are the old ones: which, can be read off the result.
TEST_P(SpenseModel, KeepsOneSetOfNeuronsDense) {
  for (const char* selection : {"norm", "drop", "tail", "random"})
    for (const char* shuffle : {"none", "global+local"}) {
      SCOPED_TRACE(fmt::format("{} {}", selection, shuffle));
      const auto dense = load_golden(GetParam()), pruned = load_golden(GetParam());
      const auto report = prune_model(*pruned, spense_recipe({{"selection", selection}, {"shuffle", shuffle}}),
                                      random_windows(*dense, 4, 2));
      ASSERT_TRUE(report.ok()) << report.status().message();
      for (size_t layer = 0; layer < dense->blocks().size(); ++layer) {
        const DecoderBlock &before = dense->blocks()[layer], &after = pruned->blocks()[layer];
        const int64_t count = spense_of(after.up).dense_count(), first = after.up.out_features() - count;
        const auto neurons =
            places_of(before.up.weight_as_f32(), after.up.weight_as_f32(), after.mlp_order, first, count);
        ASSERT_EQ(static_cast<int64_t>(neurons.size()), count);
        EXPECT_TRUE(std::ranges::is_sorted(neurons));
        if (before.has_gate) {
          EXPECT_EQ(places_of(before.gate.weight_as_f32(), after.gate.weight_as_f32(), after.mlp_order, first, count),
                    neurons);
        }
        EXPECT_EQ(places_of(transposed(before.down.weight_as_f32()), transposed(after.down.weight_as_f32()), {}, first,
                            count),
                  neurons);
        EXPECT_EQ(neurons.front() == first, std::string_view(selection) == "tail");
        const auto channels =
            places_of(transposed(before.q.weight_as_f32()), transposed(after.q.weight_as_f32()), {},
                      after.q.in_features() - spense_of(after.q).dense_count(), spense_of(after.q).dense_count());
        EXPECT_EQ(static_cast<int64_t>(channels.size()), spense_of(after.q).dense_count());
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Golden, SpenseModel,
                         testing::Values("llama1-mha", "llama2-gqa-untied", "llama-bias", "llama-bf16", "qwen3",
                                         "seed-oss", "opt-prenorm", "opt-postnorm"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// The N:M part alone is pruned: what is dense in gate and up does not depend on what down is, and the other way round.
TEST(SpenseRules, DownMayBeSparedOrPlain) {
  for (const char* pattern : {"dense", "2:4"}) {
    const auto dense = load_golden("llama2-gqa-untied"), pruned = load_golden("llama2-gqa-untied");
    Recipe recipe = spense_recipe({});
    recipe.rules.push_back({"*.down_proj", {{"pattern", pattern}}});
    const auto windows = random_windows(*dense, 4, 2);
    const auto report = prune_model(*pruned, recipe, windows);
    ASSERT_TRUE(report.ok()) << report.status().message();
    EXPECT_TRUE(std::holds_alternative<SpenseView>(pruned->blocks()[0].up.weight()));
    EXPECT_EQ(pruned->blocks()[0].down.is_packed(), std::string_view(pattern) == "2:4");
    EXPECT_EQ(report->linears[6].pattern, pattern);
    EXPECT_FALSE(report->linears[6].layout.has_value());
    const Matrix<float> columns = transposed(dense->blocks()[0].down.weight_as_f32());
    const int64_t count = spense_of(pruned->blocks()[0].up).dense_count();
    if (std::string_view(pattern) == "2:4") continue;
    // Its columns follow the rows of gate and up.
    EXPECT_EQ(
        places_of(dense->blocks()[0].up.weight_as_f32(), pruned->blocks()[0].up.weight_as_f32(), {},
                  columns.rows() - count, count),
        places_of(columns, transposed(pruned->blocks()[0].down.weight_as_f32()), {}, columns.rows() - count, count));
  }
}

TEST(SpenseRules, WhatSharesItsDenseRegionMustAgree) {
  const auto model = load_golden("llama2-gqa-untied");
  const auto refusal = [&](std::initializer_list<RecipeRule> rules, const char* mode = "neuron-aligned") {
    Recipe recipe = spense_recipe({{"spense_mode", mode}});
    recipe.rules = rules;
    return check_prunable(*model, recipe);
  };
  EXPECT_OK(refusal({}));
  EXPECT_OK(refusal({{"*.self_attn.*", {{"dense_fraction", "0.5"}, {"selection", "tail"}}}}));
  EXPECT_OK(refusal({{"model.layers.0.*", {{"dense_fraction", "0.5"}}}}));
  // The N:M regions are everyone's own.
  EXPECT_OK(refusal({{"*.down_proj", {{"pattern", "spense:4:8"}}}}));
  EXPECT_FAILURE(
      refusal({{"*.up_proj", {{"dense_fraction", "0.5"}}}}), StatusKind::invalid_argument,
      "model.layers.0.mlp.up_proj: linears that read one input keep the same rows or columns dense, so their "
      "settings must agree: 'dense_fraction' differs");
  EXPECT_FAILURE(refusal({{"*.down_proj", {{"dense_fraction", "0.5"}}}}), StatusKind::invalid_argument,
                 "model.layers.0.mlp.down_proj: gate, up and down share neurons, so their settings must agree: "
                 "'dense_fraction' differs");
  EXPECT_OK(refusal({{"*.down_proj", {{"dense_fraction", "0.5"}}}}, "per-matrix"));
  EXPECT_FAILURE(refusal({{"*.k_proj", {{"selection", "drop"}}}}), StatusKind::invalid_argument, "'selection' differs");
  EXPECT_FAILURE(refusal({{"*.v_proj", {{"selection_seed", "3"}}}}), StatusKind::invalid_argument,
                 "'selection_seed' differs");
  EXPECT_FAILURE(refusal({{"*.down_proj", {{"spense_mode", "per-matrix"}}}}), StatusKind::invalid_argument,
                 "gate, up and down share neurons, so their settings must agree: 'spense_mode' differs");
  EXPECT_FAILURE(refusal({{"*.up_proj", {{"spense_mode", "per-matrix"}}}}), StatusKind::invalid_argument,
                 "'spense_mode' differs");
}

TEST(SpenseDriver, NeitherThreadsNorGatheringOneByOneMatter) {
  for (const auto& [sequential, selection] : {std::pair{"true", "norm"}, {"false", "drop"}}) {
    std::vector<Matrix<float>> results;
    for (const auto& [threads, singly] : {std::pair{1, false}, {2, false}, {4, false}, {2, true}}) {
      set_thread_count(threads);
      const auto model = load_golden("llama2-gqa-untied");
      PruneJob job;
      job.one_site_at_a_time = singly;
      const Recipe recipe = spense_recipe({{"saliency", "obs"},
                                           {"update", "obs"},
                                           {"shuffle", "global+local"},
                                           {"sequential", sequential},
                                           {"selection", selection}});
      ASSERT_OK(prune_model(*model, recipe, random_windows(*model, 6, 1), std::move(job)));
      results.push_back(model->blocks().back().down.weight_as_f32());
    }
    for (const Matrix<float>& result : results) EXPECT_TRUE(same_bits(results[0], result)) << sequential;
    set_thread_count(0);
  }
}

// Without calibration nothing but the tail and a draw can be chosen.
TEST(SpenseDriver, SomeChoicesNeedNoText) {
  const auto model = load_golden("llama1-mha");
  Recipe recipe = spense_recipe({{"saliency", "magnitude"}});
  EXPECT_TRUE(needs_calibration(*model, recipe));
  for (const char* selection : {"tail", "random"}) {
    ASSERT_OK(recipe.set("selection", selection));
    EXPECT_FALSE(needs_calibration(*model, recipe));
    const auto pruned = load_golden("llama1-mha");
    EXPECT_OK(prune_model(*pruned, recipe, {}));
  }
}

}  // namespace
}  // namespace esparse

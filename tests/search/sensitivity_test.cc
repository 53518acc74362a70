// What pruning one group costs, against a model in which that group alone was pruned by the ordinary driver.
#include "search/sensitivity.h"

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "prune/golden_models.h"
#include "prune/prune_model.h"
#include "search/search_space.h"

namespace esparse {
namespace {

const std::vector<PruneTarget> kCandidates = {PruneTarget::nm({2, 4}), PruneTarget::spense({2, 4}, 0.25)};

struct TrialSetup {
  explicit TrialSetup(const std::string& name, std::string_view update = "obs")
      : dense(load_golden(name)), windows(random_windows(*dense, 6, 1)) {
    recipe = make_recipe("obs", "2:4", "global+local");
    EXPECT_OK(recipe.set("update", update));
    auto created = HeldOut::create(*dense, random_windows(*dense, 3, 2));
    EXPECT_OK(created);
    held_out.emplace(std::move(created).value());
  }
  std::vector<BlockSensitivities> measure(std::vector<BlockSensitivities> known = {}) const {
    EXPECT_OK(
        measure_sensitivities({*dense, recipe, kCandidates, windows, *held_out, {}}, known, [] { return Status(); }));
    return known;
  }
  std::unique_ptr<Model> dense;
  std::vector<std::vector<int32_t>> windows;
  Recipe recipe;
  std::optional<HeldOut> held_out;
};

// With sequential false the driver prunes each site by the inputs of the dense block, as the trials do; what is in
// front of the only pruned group is dense either way.
TEST(Sensitivity, IsThatOfTheGroupPrunedAlone) {
  for (const char* name : {"llama2-gqa-untied", "opt-prenorm"}) {
    TrialSetup setup(name);
    const auto measured = setup.measure();
    ASSERT_EQ(measured.size(), setup.dense->blocks().size());
    const auto groups = groups_of(*setup.dense, setup.recipe, kCandidates);
    for (size_t group = 0; group < groups.size(); ++group)
      for (size_t option = 1; option < groups[group].options.size(); ++option) {
        const auto parts = parts_of(groups[group].options[option]);
        if (parts.size() != 1) continue;  // sums of others
        std::vector<int32_t> options(groups.size());
        options[group] = static_cast<int32_t>(option);
        Recipe alone = recipe_for(*setup.dense, setup.recipe, groups, options);
        ASSERT_OK(alone.set("sequential", "false"));
        const auto pruned = load_golden(name);
        ASSERT_OK(prune_model(*pruned, alone, setup.windows));
        const auto expected = setup.held_out->measure(*pruned);
        ASSERT_OK(expected);
        const Sensitivity& got = measured[groups[group].layer].at(parts[0]);
        EXPECT_GT(got.kl, 0) << parts[0];
        // Packed kernels and folded orders add in another order; the divergence is of second order in that.
        EXPECT_NEAR(got.kl, expected->kl, 1e-3 * expected->kl + 1e-9) << name << " " << parts[0];
        EXPECT_NEAR(got.nll_rise, expected->nll_rise, 2e-5) << name << " " << parts[0];
        EXPECT_GT(got.output_error, 0);
      }
  }
}

TEST(Sensitivity, LeavesTheModelAndRefitOut) {
  TrialSetup plain("llama2-gqa-untied", "obs"), refit("llama2-gqa-untied", "refit+obs");
  const Matrix<float> before = plain.dense->blocks()[0].up.weight_as_f32();
  const auto a = plain.measure(), b = refit.measure();
  for (size_t layer = 0; layer < a.size(); ++layer) {
    ASSERT_EQ(a[layer].size(), b[layer].size());
    for (const auto& [trial, value] : a[layer]) EXPECT_EQ(value.kl, b[layer].at(trial).kl) << trial;
  }
  EXPECT_TRUE(same_bits(before, plain.dense->blocks()[0].up.weight_as_f32()));
}

// What is known is neither measured again nor touched; the rest comes out as it would have.
TEST(Sensitivity, GoesOnFromWhatIsKnown) {
  TrialSetup setup("llama2-gqa-untied");
  const auto all = setup.measure();
  auto known = all;
  known[0]["mlp=2:4"].kl = 77;
  known[1].erase("output=2:4");
  const auto again = setup.measure(known);
  EXPECT_EQ(again[0].at("mlp=2:4").kl, 77);
  EXPECT_EQ(again[1].at("output=2:4").kl, all[1].at("output=2:4").kl);
  EXPECT_EQ(again[1].size(), all[1].size());
}

TEST(Sensitivity, SameBitsForAnyThreadCount) {
  std::vector<std::vector<BlockSensitivities>> results;
  for (const int threads : {1, 2, 4}) {
    set_thread_count(threads);
    results.push_back(TrialSetup("llama2-gqa-untied").measure());
    for (size_t layer = 0; layer < results[0].size(); ++layer)
      for (const auto& [trial, value] : results[0][layer]) {
        EXPECT_EQ(value.kl, results.back()[layer].at(trial).kl) << trial;
        EXPECT_EQ(value.output_error, results.back()[layer].at(trial).output_error) << trial;
      }
  }
  set_thread_count(0);
}

}  // namespace
}  // namespace esparse

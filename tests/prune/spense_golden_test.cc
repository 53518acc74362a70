// Spense on real layers against NumPy in float64 (tests/golden/spense): rows of gate, columns of down.
#include <gtest/gtest.h>

#include <numeric>

#include "linalg/gram.h"
#include "prune/dense_selection.h"
#include "prune/layer_problem.h"
#include "prune/method_cases.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

struct SpenseCase {
  MethodCase layer;
  GoldenCase golden;
  SpenseSplit split;

  InputStatistics statistics() const {
    InputStatistics result = layer.statistics();
    result.gram = Matrix<float>(layer.inputs.cols(), layer.inputs.cols());
    add_gram(layer.inputs.view(), result.gram.view());
    mirror_upper(result.gram.view());
    return result;
  }
  int64_t size() const { return split == SpenseSplit::out ? layer.weight.rows() : layer.weight.cols(); }
  std::vector<int32_t> dense(std::string_view selection) const {
    return golden.values<int32_t>(fmt::format("dense.{}", selection));
  }
};

std::vector<SpenseCase> spense_cases() {
  std::vector<SpenseCase> cases;
  for (MethodCase& layer : method_cases()) {
    if (layer.name != "gate" && layer.name != "down") continue;
    auto store = TensorStore::open_file(ESPARSE_SOURCE_DIR "/tests/golden/spense/" + layer.name + ".safetensors");
    EXPECT_TRUE(store.ok()) << store.status().message();
    if (!store.ok()) continue;
    SpenseCase& spense = cases.emplace_back();
    spense.split = layer.name == "gate" ? SpenseSplit::out : SpenseSplit::in;
    spense.golden.name = layer.name;
    spense.golden.store = std::move(store).value();
    spense.layer = std::move(layer);
  }
  EXPECT_EQ(cases.size(), 2u);
  return cases;
}

SelectionVote vote_of(const SpenseCase& spense, const InputStatistics& statistics) {
  return {.weight = spense.layer.weight.view(),
          .statistics = &statistics,
          .split = spense.split,
          .pattern = {2, 4},
          .saliency = *find_saliency("wanda")};
}

TEST(SpenseGolden, ScoresAndChoices) {
  for (const SpenseCase& spense : spense_cases()) {
    const InputStatistics statistics = spense.statistics();
    const SelectionVote vote = vote_of(spense, statistics);
    // norm and drop are sums in double of numbers rounded to float at most once; the sweep behind loss runs in float
    // and may decide a tie of its own differently.
    for (const auto& [name, share] : {std::pair{"norm", 1e-6}, {"drop", 1e-6}, {"loss", 2e-2}}) {
      const DenseSelection selection = parse_dense_selection(name).value();
      const auto scores = dense_scores(selection, vote);
      ASSERT_OK(scores);
      expect_close(std::span<const double>(*scores), spense.golden.values<double>(std::string("scores.") + name), share,
                   spense.layer.name + " " + name);
      const auto expected = spense.dense(name);
      const auto got = select_dense(selection, {&vote, 1}, spense.size(), static_cast<int64_t>(expected.size()), 0);
      ASSERT_OK(got);
      EXPECT_EQ(*got, expected) << spense.layer.name << " " << name;
    }
  }
}

// SparseGPT on the part that is pruned: masks, weights of both regions, and outputs.
TEST(SpenseGolden, SparseGptWithADenseRegion) {
  for (const SpenseCase& spense : spense_cases()) {
    Recipe recipe;
    for (const auto& [name, value] : {std::pair{"saliency", "obs"}, {"pattern", "spense"}, {"update", "obs"}})
      ASSERT_OK(recipe.set(name, value));
    LayerProblem problem;
    problem.statistics = spense.statistics();
    problem.linears.push_back({"layer", spense.layer.weight, recipe.base});
    const auto dense = spense.dense("norm");
    (spense.split == SpenseSplit::out ? problem.linears[0].dense_rows : problem.last_channels) = dense;
    const auto solution = solve_layer(std::move(problem));
    ASSERT_OK(solution);
    const Matrix<float>& got = solution->linears[0].weight;
    const Matrix<float> expected = spense.golden.matrix("weight.norm");
    Matrix<uint8_t> mask(got.rows(), got.cols()), expected_mask(got.rows(), got.cols());
    for (size_t k = 0; k < got.values().size(); ++k) {
      mask.values()[k] = got.values()[k] != 0;
      expected_mask.values()[k] = expected.values()[k] != 0;
    }
    EXPECT_LE(mask_difference(mask, expected_mask), 1e-3) << spense.layer.name;
    EXPECT_LE(relative_difference(sampled_outputs(spense.layer.inputs, got), spense.golden.matrix("outputs.norm")),
              1e-3)
        << spense.layer.name;
    // The dense region: rows as they were, columns moved by the compensation.
    double moved = 0;
    for (const int32_t index : dense)
      for (int64_t k = 0; k < (spense.split == SpenseSplit::out ? got.cols() : got.rows()); ++k) {
        const bool rows = spense.split == SpenseSplit::out;
        const int64_t i = rows ? index : k, j = rows ? k : index;
        EXPECT_EQ(mask(i, j), 1);
        moved += std::abs(got(i, j) - spense.layer.weight(i, j));
      }
    EXPECT_EQ(moved > 0, spense.split == SpenseSplit::in) << moved;
  }
}

}  // namespace
}  // namespace esparse

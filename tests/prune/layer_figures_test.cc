// The pictures of one linear, against what plain loops make of the same inputs and weights.
#include "prune/layer_figures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "linalg/gram.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

constexpr int64_t kOut = 40, kIn = 64, kTokens = 200;

struct Case {
  Matrix<float> weight{kOut, kIn}, inputs{kTokens, kIn};
  std::vector<double> norms;  // root of the mean square

  Case() : norms(kIn) {
    std::mt19937_64 random(5);
    std::normal_distribution<float> normal;
    for (float& value : weight.values()) value = normal(random);
    for (int64_t j = 0; j < kIn; ++j) {
      const float scale = j < kIn / 2 ? 4.0f : 0.5f;  // strong channels side by side: a shuffle pays
      for (int64_t t = 0; t < kTokens; ++t) {
        inputs(t, j) = scale * normal(random);
        norms[j] += static_cast<double>(inputs(t, j)) * inputs(t, j) / kTokens;
      }
      norms[j] = std::sqrt(norms[j]);
    }
  }

  LayerProblem problem(const char* saliency, const char* shuffle) const {
    Recipe recipe;
    EXPECT_OK(recipe.set("saliency", saliency));
    EXPECT_OK(recipe.set("pattern", "2:4"));
    EXPECT_OK(recipe.set("shuffle", shuffle));
    LayerProblem made;
    made.linears.push_back({"other", weight, recipe.base});
    made.linears.push_back({"layer", weight, recipe.base});
    made.statistics.sequences = 1;
    made.statistics.tokens = kTokens;
    made.statistics.sample = inputs;
    for (double norm : norms) made.statistics.sum_squares.push_back(norm * norm * kTokens);
    return made;
  }

  // Share of the saliency |w| * norm that two of every four neighbours keep.
  double kept_by_neighbours() const {
    double kept = 0, all = 0;
    for (int64_t i = 0; i < kOut; ++i)
      for (int64_t first = 0; first < kIn; first += 4) {
        std::vector<double> scores;
        for (int64_t k = first; k < first + 4; ++k) scores.push_back(std::abs(weight(i, k)) * norms[k]);
        std::ranges::sort(scores, std::greater());
        kept += scores[0] + scores[1];
        all += std::accumulate(scores.begin(), scores.end(), 0.0);
      }
    return kept / all;
  }
};

struct Recorded {
  LayerFigures figures;
  LayerSolution solution;
};

Recorded record(const Case& made, const char* saliency, const char* shuffle) {
  FigureRecorder recorder("layer");
  LayerProblem problem = made.problem(saliency, shuffle);
  recorder.before(problem);
  auto solution = solve_layer(std::move(problem));
  EXPECT_OK(solution);
  recorder.after(*solution);
  EXPECT_TRUE(recorder.figures().has_value());
  return {recorder.figures().value_or(LayerFigures()), std::move(solution).value()};
}

void expect_two_of_four(const SaliencyPiece& piece) {
  ASSERT_EQ(piece.kept.size(), 32u);
  for (const auto& row : piece.kept)
    for (size_t first = 0; first < row.size(); first += 4)
      EXPECT_EQ(std::count(row.begin() + first, row.begin() + first + 4, true), 2);
}

TEST(LayerFigures, ShowWhatTheLinearIsLike) {
  const Case made;
  const auto [figures, solution] = record(made, "wanda", "global+local");
  EXPECT_EQ(figures.linear, "layer");
  EXPECT_EQ(figures.pattern, "2:4");
  EXPECT_EQ(figures.group, 4);
  ASSERT_EQ(figures.channels.size(), static_cast<size_t>(kIn));
  for (int64_t j = 0; j < kIn; ++j) EXPECT_NEAR(figures.channels[j].norm, made.norms[j], 1e-6 * made.norms[j]);
  ASSERT_EQ(figures.histograms.size(), 2u);
  for (const ActivationHistogram& histogram : figures.histograms)
    EXPECT_EQ(std::accumulate(histogram.counts.begin(), histogram.counts.end(), int64_t{0}), kTokens);
  for (const ChannelFigure& channel : figures.channels) {
    EXPECT_LE(channel.entropy, figures.histograms[0].entropy);
    EXPECT_GE(channel.entropy, figures.histograms[1].entropy);
  }
}

// Spense by columns and by rows: what stays dense is kept before and after, and lies at the end.
TEST(LayerFigures, ShowTheDensePartOfSpense) {
  const Case made;
  for (const bool by_rows : {false, true}) {
    FigureRecorder recorder("layer");
    LayerProblem problem = made.problem("wanda", "global+local");
    for (LinearProblem& linear : problem.linears) linear.recipe.target = PruneTarget::spense({2, 4}, 0.25);
    std::vector<int32_t> dense;
    for (int32_t i = 1; i < (by_rows ? kOut : kIn); i += 4) dense.push_back(i);
    if (by_rows) {
      for (LinearProblem& linear : problem.linears) linear.dense_rows = dense;
    } else {
      problem.last_channels = dense;
    }
    recorder.before(problem);
    const auto solution = solve_layer(std::move(problem));
    ASSERT_OK(solution);
    recorder.after(*solution);
    ASSERT_TRUE(recorder.figures() && recorder.figures()->before);
    const LayerFigures& figures = *recorder.figures();
    EXPECT_EQ(figures.group, 4);
    EXPECT_EQ(figures.group_means_after.size(), by_rows ? 16u : 12u);
    EXPECT_NEAR(figures.retained, solution->linears[1].retained, 1e-6);
    EXPECT_GT(figures.retained_before, made.kept_by_neighbours()) << "a quarter loses nothing";
    for (const SaliencyPiece* piece : {&*figures.before, &figures.after})
      for (size_t i = 0; i < piece->kept.size(); ++i) {
        const std::vector<bool>& row = piece->kept[i];
        const bool dense_row = by_rows && std::ranges::binary_search(dense, figures.rows[i]);
        const size_t pruned = dense_row ? 0 : by_rows ? kIn : kIn - dense.size();
        EXPECT_EQ(std::count(row.begin(), row.begin() + pruned, true), pruned / 2);
        EXPECT_EQ(std::count(row.begin() + pruned, row.end(), true), kIn - pruned);
      }
  }
}

TEST(LayerFigures, MasksAreThoseOfTheSolution) {
  const Case made;
  const auto [figures, solution] = record(made, "wanda", "global+local");
  ASSERT_TRUE(figures.before.has_value());
  expect_two_of_four(*figures.before);
  expect_two_of_four(figures.after);
  const Matrix<float>& pruned = solution.linears[1].weight;
  for (size_t row = 0; row < figures.rows.size(); ++row)
    for (size_t k = 0; k < figures.after.channels.size(); ++k) {
      EXPECT_EQ(figures.after.channels[k], solution.order[k]);
      EXPECT_EQ(figures.after.kept[row][k], pruned(figures.rows[row], solution.order[k]) != 0.0f);
    }
  EXPECT_NEAR(figures.retained_before, made.kept_by_neighbours(), 1e-5);
  EXPECT_NEAR(figures.retained, solution.linears[1].retained, 1e-12);
  EXPECT_GT(figures.retained, figures.retained_before + 0.02);
  for (const auto* means : {&figures.group_means_before, &figures.group_means_after}) {
    ASSERT_EQ(means->size(), static_cast<size_t>(kIn / 4));
    EXPECT_NEAR(std::accumulate(means->begin(), means->end(), 0.0) / (kIn / 4), 1, 1e-5);
    EXPECT_TRUE(std::ranges::is_sorted(*means, std::greater()));
  }
  EXPECT_LT(figures.group_means_after.front(), figures.group_means_before.front()) << "strong channels are dealt out";
}

TEST(LayerFigures, WithoutAShuffleThereIsNoBefore) {
  const auto [figures, solution] = record(Case(), "wanda", "none");
  EXPECT_FALSE(figures.before.has_value());
  EXPECT_TRUE(figures.group_means_before.empty());
  EXPECT_EQ(figures.retained, figures.retained_before);
  expect_two_of_four(figures.after);
}

TEST(LayerFigures, NormsComeFromSecondMomentsToo) {
  const Case made;
  LayerProblem problem = made.problem("wanda", "none");
  problem.statistics.gram = Matrix<float>(kIn, kIn);
  add_gram(made.inputs.view(), problem.statistics.gram.view());
  problem.statistics.sum_squares.clear();
  FigureRecorder recorder("layer");
  recorder.before(problem);
  LayerProblem whole = made.problem("wanda", "none");
  whole.linears[1].keep_scores = true;
  recorder.after(solve_layer(std::move(whole)).value());
  ASSERT_TRUE(recorder.figures().has_value());
  ASSERT_EQ(recorder.figures()->channels.size(), static_cast<size_t>(kIn));
  EXPECT_NEAR(recorder.figures()->channels[3].norm, made.norms[3], 1e-5 * made.norms[3]);
}

TEST(LayerFigures, OtherLinearsAreNotRecorded) {
  FigureRecorder recorder("elsewhere");
  LayerProblem problem = Case().problem("wanda", "none");
  recorder.before(problem);
  recorder.after(solve_layer(std::move(problem)).value());
  EXPECT_FALSE(recorder.figures().has_value());
}

TEST(LayerFigures, SurviveJsonAndRefuseDamage) {
  const Json json = record(Case(), "wanda", "global+local").figures.to_json();
  const auto read = LayerFigures::parse(json, "figures");
  ASSERT_OK(read);
  EXPECT_EQ(read->to_json(), json);
  const auto refused = [&](const char* pointer, const Json& value, const char* part) {
    Json damaged = json;
    damaged[Json::json_pointer(pointer)] = value;
    EXPECT_FAILURE(LayerFigures::parse(damaged, "figures"), StatusKind::corruption, part) << pointer;
  };
  refused("/rows", "all", "figures: rows");
  refused("/shape", Json::array({1}), "figures: shape");
  refused("/after/kept/0", "01", "figures: after: kept");
  refused("/after/saliency/3", std::string(kIn, 'g'), "figures: after: saliency");
  refused("/before/channels/0", -0.5, "figures: before: channels");
  refused("/channels/norm", Json::array(), "as many norms");
  refused("/channels/norm/0", 1e308, "norm: expected 0 or");
  refused("/channels/norm/0", -1, "norm: expected 0 or");
  refused("/histograms/0/counts", Json::array(), "counts: expected at least one");
  refused("/histograms", 3, "histograms: expected a list");
  refused("/histograms/0/counts/0", "x", "counts");
  refused("/group_means/after", std::vector<double>(70000), "group_means: after");
}

}  // namespace
}  // namespace esparse

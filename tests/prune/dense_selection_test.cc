// Which rows or columns stay dense: worked examples, ties, several linears with one vote each.
#include "prune/dense_selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support/status_testing.h"

namespace esparse {
namespace {

// |W|: 4 1 2 3    inputs with norms 1 2 1 1, so |w| |x|: 4 2 2 3
//      1 1 5 0                                           1 2 5 0
//      0 6 0 1                                           0 12 0 1
struct Example {
  Example() : weight(3, 4) {
    const float values[] = {4, -1, 2, 3, 1, 1, -5, 0, 0, 6, 0, -1};
    std::ranges::copy(values, weight.values().begin());
    statistics.sequences = statistics.tokens = 1;
    statistics.sum_squares = {1, 4, 1, 1};
  }
  SelectionVote vote(SpenseSplit split) const {
    return {.weight = weight.view(),
            .statistics = &statistics,
            .split = split,
            .pattern = {2, 4},
            .saliency = *find_saliency("wanda")};
  }
  Matrix<float> weight;
  InputStatistics statistics;
};

TEST(DenseScores, WorkedExamples) {
  const Example example;
  const auto scores = [&](DenseSelection selection, SpenseSplit split) {
    return dense_scores(selection, example.vote(split)).value();
  };
  EXPECT_EQ(scores(DenseSelection::norm, SpenseSplit::out), (std::vector<double>{11.0 / 4, 8.0 / 4, 13.0 / 4}));
  const auto columns = scores(DenseSelection::norm, SpenseSplit::in);
  const std::vector<double> expected = {5.0 / 3, 16.0 / 3, 7.0 / 3, 4.0 / 3};
  for (size_t k = 0; k < 4; ++k) EXPECT_DOUBLE_EQ(columns[k], expected[k]);
  // 2:4 removes 2 and 2 of the first row, 1 and 0 of the second, 0 and 0 of the third.
  EXPECT_EQ(scores(DenseSelection::drop, SpenseSplit::out), (std::vector<double>{4, 1, 0}));
  EXPECT_EQ(scores(DenseSelection::drop, SpenseSplit::in), (std::vector<double>{1, 2, 2, 0}));
}

TEST(SelectDense, TakesTheLargestAndOfEqualOnesTheLower) {
  const Example example;
  const SelectionVote rows[] = {example.vote(SpenseSplit::out)}, columns[] = {example.vote(SpenseSplit::in)};
  EXPECT_EQ(select_dense(DenseSelection::norm, rows, 3, 2, 0).value(), (std::vector<int32_t>{0, 2}));
  EXPECT_EQ(select_dense(DenseSelection::norm, columns, 4, 2, 0).value(), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(select_dense(DenseSelection::drop, columns, 4, 1, 0).value(), (std::vector<int32_t>{1}));
  EXPECT_EQ(select_dense(DenseSelection::tail, columns, 4, 3, 0).value(), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_TRUE(select_dense(DenseSelection::norm, rows, 3, 0, 0).value().empty());
}

// Each linear's scores are divided by their total: 1000 times larger weights weigh no more.
TEST(SelectDense, LinearsVoteWithEqualWeight) {
  Example quiet, loud;
  for (float& value : loud.weight.values()) value *= 1000;
  std::swap_ranges(loud.weight.row(0).begin(), loud.weight.row(0).end(), loud.weight.row(1).begin());
  // Shares of the rows by norm: 11 8 13 of 32, and 8 11 13; together 19 19 26: of the equal ones the lower.
  const SelectionVote votes[] = {quiet.vote(SpenseSplit::out), loud.vote(SpenseSplit::out)};
  EXPECT_EQ(select_dense(DenseSelection::norm, votes, 3, 2, 0).value(), (std::vector<int32_t>{0, 2}));
  EXPECT_EQ(select_dense(DenseSelection::norm, {votes + 1, 1}, 3, 2, 0).value(), (std::vector<int32_t>{1, 2}));
}

TEST(SelectDense, RandomIsADrawOfItsSeed) {
  const auto draw = [](uint64_t seed) { return select_dense(DenseSelection::random, {}, 40, 10, seed).value(); };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
  std::set<int32_t> seen;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const auto drawn = draw(seed);
    EXPECT_EQ(drawn.size(), 10u);
    EXPECT_TRUE(std::ranges::is_sorted(drawn));
    EXPECT_EQ(std::ranges::adjacent_find(drawn), drawn.end());
    EXPECT_TRUE(drawn.front() >= 0 && drawn.back() < 40);
    seen.insert(drawn.begin(), drawn.end());
  }
  EXPECT_EQ(seen.size(), 40u) << "every index is drawn sometimes: each is missed by 60 draws with 0.75^60 = 3e-8";
}

// All inputs zero: nobody scores, and the lowest indices are taken.
TEST(SelectDense, WithoutAnySignal) {
  Example example;
  example.statistics.sum_squares.assign(4, 0);
  const SelectionVote votes[] = {example.vote(SpenseSplit::in)};
  EXPECT_EQ(select_dense(DenseSelection::norm, votes, 4, 2, 0).value(), (std::vector<int32_t>{0, 1}));
}

TEST(DenseSelection, NamesAndNeeds) {
  for (const char* name : {"norm", "tail", "drop", "loss", "random"})
    EXPECT_EQ(dense_selection_name(parse_dense_selection(name).value()), name);
  EXPECT_FAILURE(parse_dense_selection("best"), StatusKind::invalid_argument,
                 "selection \"best\": expected norm, tail, drop, loss or random");
  const SaliencyMethod& esparse = *find_saliency("esparse").value();
  EXPECT_TRUE(selection_needs(DenseSelection::norm, esparse).norms);
  EXPECT_FALSE(selection_needs(DenseSelection::norm, esparse).entropy);
  EXPECT_TRUE(selection_needs(DenseSelection::drop, esparse).entropy);
  EXPECT_TRUE(selection_needs(DenseSelection::loss, esparse).gram);
  EXPECT_FALSE(selection_needs(DenseSelection::tail, esparse).any());
  EXPECT_FALSE(selection_needs(DenseSelection::random, esparse).any());
}

}  // namespace
}  // namespace esparse

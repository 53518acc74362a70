// Shapes and patterns as a user names them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bench/bench_pattern.h"
#include "bench/linear_shapes.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// Sizes from the config.json of each model; a block has q, k, v, o, gate, up and down.
TEST(LinearShapes, OfModelsAreTheLinearsOfABlock) {
  struct Expected {
    const char* name;
    int64_t weights;  // of a block
  };
  for (const Expected& expected :
       {Expected{"llama3-8b", 2 * 4096 * 4096 + 2 * 1024 * 4096 + 3 * 14336 * 4096},
        Expected{"qwen2.5-7b", 2 * 3584 * 3584 + 2 * 512 * 3584 + 3 * 18944 * 3584},
        Expected{"llama2-7b", 4 * 4096 * 4096 + 3 * 11008 * 4096},
        Expected{"llama3-70b", 2 * 8192 * 8192 + 2 * 1024 * 8192 + 3 * int64_t{28672} * 8192}}) {
    const auto shapes = parse_linear_shapes(expected.name);
    ASSERT_OK(shapes);
    int64_t weights = 0, linears = 0;
    for (const LinearShape& shape : *shapes) {
      weights += shape.out_features * shape.in_features * shape.per_block;
      linears += shape.per_block;
    }
    EXPECT_EQ(weights, expected.weights) << expected.name;
    EXPECT_EQ(linears, 7) << expected.name;
    EXPECT_NE(known_shape_names().find(expected.name), std::string::npos);
  }
}

TEST(LinearShapes, OfSizesAreOutByIn) {
  const auto shapes = parse_linear_shapes("48x96,llama2-7b,1x7");
  ASSERT_OK(shapes);
  ASSERT_EQ(shapes->size(), 5u);
  EXPECT_EQ(shapes->front().out_features, 48);
  EXPECT_EQ(shapes->front().in_features, 96);
  EXPECT_EQ(shapes->front().name, "48x96");
  EXPECT_EQ(shapes->back().out_features, 1);
  EXPECT_EQ(shapes->back().in_features, 7);
}

TEST(LinearShapes, RefuseWhatIsNoShape) {
  for (const char* text : {"", "llama", "12", "12x", "x12", "0x4", "4x0", "-4x4", "4x4x4", "4x4,", "1048577x4",
                           "99999999999999999999x4", "4 x4"})
    EXPECT_FAILURE(parse_linear_shapes(text), StatusKind::invalid_argument, "--shapes: expected llama3-8b") << text;
}

TEST(BenchPattern, ListsAreParsed) {
  const auto patterns = BenchPattern::parse_list("2:4,unstructured:0.25,dense,7:16");
  ASSERT_OK(patterns);
  ASSERT_EQ(patterns->size(), 4u);
  EXPECT_EQ((*patterns)[0].nm, (NmPattern{2, 4}));
  EXPECT_EQ((*patterns)[1].density, 0.25);
  EXPECT_TRUE((*patterns)[2].dense());
  EXPECT_EQ((*patterns)[3].text, "7:16");
}

TEST(BenchPattern, RefusesWhatIsNoPattern) {
  for (const char* text :
       {"", "4:2", "2:64", "half", "2:4,", "unstructured", "unstructured:", "unstructured:0", "unstructured:1",
        "unstructured:-0.5", "unstructured:nan", "unstructured:0.5x", "spense:0", "spense:0.25:4:2", "spense:x"})
    EXPECT_FAILURE(BenchPattern::parse_list(text), StatusKind::invalid_argument, "--pattern: ") << text;
}

TEST(BenchPattern, KeepsNOfEveryMAndTheShareOfTheTail) {
  for (const NmPattern nm : {NmPattern{2, 4}, NmPattern{6, 8}, NmPattern{1, 2}, NmPattern{7, 32}}) {
    const BenchPattern pattern{nm.text(), nm, {}};
    for (const int64_t row : {0, 1, 77}) {
      std::vector<float> values(101, 1.0f);
      apply_pattern(pattern, 100, row, values);
      for (size_t first = 0; first < values.size(); first += static_cast<size_t>(nm.group)) {
        const size_t width = std::min<size_t>(nm.group, values.size() - first);
        int64_t kept = 0;
        for (size_t i = 0; i < width; ++i) kept += values[first + i] != 0;
        EXPECT_EQ(kept, static_cast<int64_t>((nm.kept * width + nm.group - 1) / nm.group)) << nm.text() << " " << first;
      }
    }
  }
}

// Of n values with chance p, np are kept, and the number strays by sqrt(np(1 - p)); six times that is never seen.
TEST(BenchPattern, UnstructuredKeepsItsShare) {
  const BenchPattern pattern{"unstructured:0.3", {}, 0.3};
  std::vector<float> values(100000, 1.0f);
  apply_pattern(pattern, 100, 5, values);
  const auto kept = static_cast<double>(std::count(values.begin(), values.end(), 1.0f));
  EXPECT_NEAR(kept, 30000, 6 * std::sqrt(100000 * 0.3 * 0.7));
  EXPECT_EQ(std::count(values.begin(), values.end(), 0.0f), 100000 - static_cast<int64_t>(kept));
}

// 64 x 32: rows are split, tiles of 4, so 16 rows stay dense; 32 x 64 and 32 x 32: columns, 16 and 8 of them.
TEST(BenchPattern, SpenseKeepsTheEndOfTheLongerSideDense) {
  const auto patterns = BenchPattern::parse_list("spense,spense:1/2:4:8");
  ASSERT_OK(patterns);
  const BenchPattern& quarter = patterns->front();
  EXPECT_FALSE(quarter.dense());
  EXPECT_EQ(quarter.layout(64, 32), (SpenseLayout{SpenseSplit::out, {2, 4}, 16}));
  EXPECT_EQ(quarter.layout(32, 64), (SpenseLayout{SpenseSplit::in, {2, 4}, 16}));
  EXPECT_EQ(quarter.layout(32, 32), (SpenseLayout{SpenseSplit::in, {2, 4}, 8}));
  EXPECT_EQ((*patterns)[1].layout(64, 32), (SpenseLayout{SpenseSplit::out, {4, 8}, 32}));
  const auto zeros_of_row = [&](int64_t rows, int64_t row, int64_t columns) {
    std::vector<float> values(static_cast<size_t>(columns), 1.0f);
    apply_pattern(quarter, rows, row, values);
    return std::pair(std::count(values.begin(), values.end(), 0.0f), values.back());
  };
  EXPECT_EQ(zeros_of_row(64, 47, 32).first, 16);
  EXPECT_EQ(zeros_of_row(64, 48, 32).first, 0);
  EXPECT_EQ(zeros_of_row(32, 31, 64), std::pair(std::ptrdiff_t{24}, 1.0f));
}

}  // namespace
}  // namespace esparse

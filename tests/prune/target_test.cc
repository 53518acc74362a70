#include "prune/target.h"

#include <algorithm>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

std::vector<uint8_t> mask_of(const Matrix<float>& scores, const PruneTarget& target) {
  Matrix<uint8_t> mask(scores.rows(), scores.cols());
  std::ranges::fill(mask.values(), uint8_t{9});  // every element must be written
  make_mask(scores.view(), target, mask.view());
  return {mask.values().begin(), mask.values().end()};
}

Matrix<float> matrix(int64_t rows, int64_t cols, const std::vector<float>& values) {
  Matrix<float> result(rows, cols);
  std::ranges::copy(values, result.values().begin());
  return result;
}

// By sorting: the `removed` smallest go, of equals the higher index first.
std::vector<uint8_t> reference_mask(std::span<const float> scores, int64_t removed) {
  std::vector<int64_t> ranked(scores.size());
  std::iota(ranked.begin(), ranked.end(), int64_t{0});
  std::ranges::sort(ranked,
                    [&](int64_t a, int64_t b) { return scores[a] != scores[b] ? scores[a] < scores[b] : a > b; });
  std::vector<uint8_t> mask(scores.size(), 1);
  for (int64_t k = 0; k < removed; ++k) mask[ranked[k]] = 0;
  return mask;
}

TEST(PruneTarget, Texts) {
  for (const auto& [text, target] : {std::pair<const char*, PruneTarget>{"dense", PruneTarget::dense()},
                                     {"2:4", PruneTarget::nm({2, 4})},
                                     {"50%", PruneTarget::unstructured(0.5, SparsityScope::row)},
                                     {"62.5%", PruneTarget::unstructured(0.625, SparsityScope::row)},
                                     {"29%", PruneTarget::unstructured(0.29, SparsityScope::row)},
                                     {"0.01%", PruneTarget::unstructured(0.0001, SparsityScope::row)},
                                     {"spense:0.25", PruneTarget::spense({2, 4}, 0.25)},
                                     {"spense:0.125:6:8", PruneTarget::spense({6, 8}, 0.125)}}) {
    const auto parsed = PruneTarget::parse(text);
    ASSERT_OK(parsed);
    EXPECT_EQ(parsed->text(), text);
    EXPECT_EQ(parsed->text(), target.text());
    EXPECT_EQ(parsed->kind, target.kind);
    EXPECT_DOUBLE_EQ(parsed->density(), target.density());
    EXPECT_OK(parsed->validate());
  }
  EXPECT_EQ(PruneTarget::parse("62.5%").value(), PruneTarget::unstructured(0.625, SparsityScope::row));
  EXPECT_DOUBLE_EQ(PruneTarget::nm({3, 4}).density(), 0.75);
  EXPECT_DOUBLE_EQ(PruneTarget::dense().density(), 1.0);
  EXPECT_NEAR(PruneTarget::unstructured(0.7, SparsityScope::row).density(), 0.3, 1e-15);
  EXPECT_DOUBLE_EQ(PruneTarget::spense({2, 4}, 0.25).density(), 0.625);
  EXPECT_EQ(PruneTarget::parse("spense").value(), PruneTarget::spense({2, 4}, 0.25));
  EXPECT_EQ(PruneTarget::spense({4, 8}, 0.5).of_pruned_part(), PruneTarget::nm({4, 8}));
  EXPECT_EQ(PruneTarget::dense().of_pruned_part(), PruneTarget::dense());
}

// Only what a kind reads tells its targets apart.
TEST(PruneTarget, Equality) {
  PruneTarget nm = PruneTarget::nm({2, 4});
  nm.dense_fraction = 0.5, nm.sparsity = 0.9;
  EXPECT_EQ(nm, PruneTarget::nm({2, 4}));
  EXPECT_NE(nm, PruneTarget::nm({4, 8}));
  EXPECT_NE(nm, PruneTarget::spense({2, 4}, 0.5));
  EXPECT_NE(PruneTarget::spense({2, 4}, 0.25), PruneTarget::spense({2, 4}, 0.5));
  EXPECT_NE(PruneTarget::unstructured(0.5, SparsityScope::row), PruneTarget::unstructured(0.5, SparsityScope::layer));
}

TEST(PruneTarget, Refusals) {
  for (const char* text : {"", "0.5", "50", "half", "DENSE", " dense", "2/4"})
    EXPECT_FAILURE(PruneTarget::parse(text), StatusKind::invalid_argument, "expected N:M, such as 2:4");
  for (const char* text : {"%", ".%", "x%", "-5%", "+5%", "1e1%", "nan%", "inf%", "50 %", "5..0%", "5%%", "1.2.3%"})
    EXPECT_FAILURE(PruneTarget::parse(text), StatusKind::invalid_argument, "a percentage such as 50% or 62.5%");
  for (const char* text : {"0%", "0.0%", "100%", "250%"})
    EXPECT_FAILURE(PruneTarget::parse(text), StatusKind::invalid_argument, "more than 0 % and less than 100 %");
  EXPECT_FAILURE(PruneTarget::parse("4:2"), StatusKind::invalid_argument, "1 <= N < M");
  EXPECT_FAILURE(PruneTarget::parse("2:64"), StatusKind::invalid_argument, "at most 32");
  EXPECT_FAILURE(PruneTarget::parse("spense:2"), StatusKind::invalid_argument, "a share between 0 and 1");
  EXPECT_FAILURE(PruneTarget::spense({2, 4}, 1).validate(), StatusKind::invalid_argument, "dense_fraction 1");
  EXPECT_FAILURE(PruneTarget::spense({4, 4}, 0.5).validate(), StatusKind::invalid_argument, "1 <= N < M");
  EXPECT_FAILURE(PruneTarget::nm({4, 4}).validate(), StatusKind::invalid_argument, "1 <= N < M");
  for (double sparsity : {0.0, 1.0, -0.5, std::nan("")})
    EXPECT_FAILURE(PruneTarget::unstructured(sparsity, SparsityScope::row).validate(), StatusKind::invalid_argument,
                   "more than 0 and less than 1");
}

TEST(PruneTarget, Scopes) {
  for (SparsityScope scope : {SparsityScope::row, SparsityScope::layer})
    EXPECT_EQ(parse_sparsity_scope(sparsity_scope_name(scope)).value(), scope);
  EXPECT_FAILURE(parse_sparsity_scope("block"), StatusKind::invalid_argument, "\"block\": expected row or layer");
}

TEST(RemovedCount, FloorOfTheWrittenDecimal) {
  EXPECT_EQ(removed_count(0.5, 7), 3);
  EXPECT_EQ(removed_count(0.29, 100), 29);  // 0.29 * 100 is 28.999999999999996 in double
  EXPECT_EQ(removed_count(0.57, 100), 57);
  EXPECT_EQ(removed_count(0.3333, 3), 0);
  EXPECT_EQ(removed_count(0.999999999999, 3), 2);
  EXPECT_EQ(removed_count(0.0, 3), 0);
  EXPECT_EQ(removed_count(0.9, 0), 0);
  EXPECT_EQ(removed_count(0.9, 1), 0);
  for (int percent = 1; percent < 100; ++percent)
    for (int64_t count : {int64_t{100}, int64_t{4096}, int64_t{4096} * 14336})
      ASSERT_EQ(removed_count(PruneTarget::parse(fmt::format("{}%", percent))->sparsity, count), count * percent / 100);
}

// Rows 5 1 3 1 and 9 8 0 7.
TEST(MakeMask, WorkedExamples) {
  const Matrix<float> scores = matrix(2, 4, {5, 1, 3, 1, 9, 8, 0, 7});
  EXPECT_EQ(mask_of(scores, PruneTarget::dense()), (std::vector<uint8_t>{1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(mask_of(scores, PruneTarget::nm({2, 4})), (std::vector<uint8_t>{1, 0, 1, 0, 1, 1, 0, 0}));
  EXPECT_EQ(mask_of(scores, PruneTarget::unstructured(0.5, SparsityScope::row)),
            (std::vector<uint8_t>{1, 0, 1, 0, 1, 1, 0, 0}));
  EXPECT_EQ(mask_of(scores, PruneTarget::unstructured(0.25, SparsityScope::row)),
            (std::vector<uint8_t>{1, 1, 1, 0, 1, 1, 0, 1}));  // of the two 1s the lower column stays
  EXPECT_EQ(mask_of(scores, PruneTarget::unstructured(0.5, SparsityScope::layer)),
            (std::vector<uint8_t>{1, 0, 0, 0, 1, 1, 0, 1}));
  EXPECT_EQ(mask_of(scores, PruneTarget::unstructured(0.25, SparsityScope::layer)),
            (std::vector<uint8_t>{1, 1, 1, 0, 1, 1, 0, 1}));
  EXPECT_EQ(mask_of(scores, PruneTarget::unstructured(0.1, SparsityScope::layer)), std::vector<uint8_t>(8, 1));
}

TEST(MakeMask, TiesKeepTheLowerIndex) {
  const Matrix<float> zeros = matrix(2, 3, {0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f});
  EXPECT_EQ(mask_of(zeros, PruneTarget::unstructured(0.5, SparsityScope::row)),
            (std::vector<uint8_t>{1, 1, 0, 1, 1, 0}));
  EXPECT_EQ(mask_of(zeros, PruneTarget::unstructured(0.5, SparsityScope::layer)),
            (std::vector<uint8_t>{1, 1, 1, 0, 0, 0}));
  EXPECT_EQ(mask_of(zeros, PruneTarget::unstructured(0.34, SparsityScope::layer)),
            (std::vector<uint8_t>{1, 1, 1, 1, 0, 0}));
}

TEST(MakeMask, UnstructuredLikeSorting) {
  std::mt19937 random(5);
  for (const auto& [rows, cols] :
       {std::pair<int64_t, int64_t>{1, 1}, {1, 2}, {3, 7}, {65, 33}, {130, 257}, {2, 1000}}) {
    for (unsigned values : {1u, 3u, 1000000u}) {  // few values: many ties at the cut
      Matrix<float> scores(rows, cols);
      for (float& score : scores.values()) score = (static_cast<float>(random() % values) - 1) * 1.7e-3f;
      for (double sparsity : {0.001, 0.1, 0.5, 0.625, 0.99}) {
        const auto by_layer = mask_of(scores, PruneTarget::unstructured(sparsity, SparsityScope::layer));
        ASSERT_EQ(by_layer, reference_mask(scores.values(), removed_count(sparsity, rows * cols)))
            << rows << "x" << cols;
        const auto by_row = mask_of(scores, PruneTarget::unstructured(sparsity, SparsityScope::row));
        for (int64_t row = 0; row < rows; ++row)
          ASSERT_EQ(std::vector<uint8_t>(by_row.begin() + row * cols, by_row.begin() + (row + 1) * cols),
                    reference_mask(scores.row(row), removed_count(sparsity, cols)));
      }
    }
  }
}

TEST(MakeMask, ExtremeScores) {
  const float tiny = std::numeric_limits<float>::denorm_min(), huge = std::numeric_limits<float>::max();
  const Matrix<float> scores = matrix(1, 6, {huge, -huge, tiny, -tiny, 0.0f, HUGE_VALF});
  for (SparsityScope scope : {SparsityScope::row, SparsityScope::layer})
    EXPECT_EQ(mask_of(scores, PruneTarget::unstructured(0.5, scope)), (std::vector<uint8_t>{1, 0, 1, 0, 0, 1}));
}

TEST(MakeMask, EmptyMatrices) {
  for (const PruneTarget& target :
       {PruneTarget::dense(), PruneTarget::nm({2, 4}), PruneTarget::unstructured(0.5, SparsityScope::row),
        PruneTarget::unstructured(0.5, SparsityScope::layer)}) {
    EXPECT_TRUE(mask_of(Matrix<float>(0, 4), target).empty());
    EXPECT_TRUE(mask_of(Matrix<float>(3, 0), target).empty());
  }
}

TEST(MakeMask, SameForAnyThreadCountAndStride) {
  std::mt19937 random(6);
  Matrix<float> scores(300, 600);  // large enough for several pieces at once
  for (float& score : scores.values()) score = static_cast<float>(random() % 5000);
  for (SparsityScope scope : {SparsityScope::row, SparsityScope::layer}) {
    const PruneTarget target = PruneTarget::unstructured(0.6, scope);
    set_thread_count(1);
    const auto one = mask_of(scores, target);
    for (int threads : {2, 3}) {
      set_thread_count(threads);
      EXPECT_EQ(mask_of(scores, target), one);
    }
    set_thread_count(0);
    // Columns 100..299 of the wide matrix against a copy of them.
    Matrix<float> part(300, 200);
    for (int64_t row = 0; row < 300; ++row) std::ranges::copy(scores.row(row).subspan(100, 200), part.row(row).begin());
    const auto expected = mask_of(part, target);
    Matrix<uint8_t> mask(300, 600);
    make_mask(scores.view().cols_from(100, 200), target, mask.view().cols_from(100, 200));
    for (int64_t row = 0; row < 300; ++row)
      for (int64_t j = 0; j < 600; ++j)
        ASSERT_EQ(mask(row, j), j >= 100 && j < 300 ? expected[row * 200 + j - 100] : 0);
  }
}

}  // namespace
}  // namespace esparse

#include "sparse/spense_matrix.h"

#include <limits>

#include <gtest/gtest.h>

#include "sparse/spense_support.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

constexpr DType kWeightTypes[] = {DType::f32, DType::f16, DType::bf16};
constexpr SpenseSplit kSplits[] = {SpenseSplit::out, SpenseSplit::in};
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> rounded(DType dtype, const std::vector<float>& values) {
  const auto bytes = to_bytes(dtype, values);
  std::vector<float> result(values.size());
  convert_to_f32(dtype, bytes.data(), result);
  return result;
}

// The example of docs/formats/spense.md.
TEST(SpenseMatrix, WorkedExamples) {
  const std::vector<float> by_rows = {0, 1, 0, -2, 4, 0, 0, 0, 0.5f, -1, 3, 8};
  const SpenseMatrix rows = must_pack_spense({SpenseSplit::out, {2, 4}, 1}, DType::f32, by_rows, 3, 4);
  EXPECT_EQ(rows.sparse.bitmask, (std::vector<uint8_t>{0x0a, 0x03}));
  EXPECT_EQ(rows.sparse.values, to_bytes(DType::f32, std::vector<float>{1, -2, 4, 0}));
  EXPECT_EQ(rows.dense, to_bytes(DType::f32, std::vector<float>{0.5f, -1, 3, 8}));
  EXPECT_EQ(rows.view().dense_count(), 1);
  EXPECT_EQ(rows.view().out_features, 3);
  EXPECT_EQ(rows.view().in_features, 4);

  const std::vector<float> by_columns = {0, 1, 0, -2, 0.5f, 3, 4, 0, 0, 0, -1, 0};
  const SpenseMatrix columns = must_pack_spense({SpenseSplit::in, {2, 4}, 2}, DType::f32, by_columns, 2, 6);
  EXPECT_EQ(columns.sparse.bitmask, (std::vector<uint8_t>{0x0a, 0x03}));
  EXPECT_EQ(columns.sparse.values, to_bytes(DType::f32, std::vector<float>{1, -2, 4, 0}));
  EXPECT_EQ(columns.dense, to_bytes(DType::f32, std::vector<float>{0.5f, 3, -1, 0}));
  EXPECT_EQ(columns.view().dense_count(), 2);
  EXPECT_EQ(columns.view().out_features, 2);
  EXPECT_EQ(columns.view().in_features, 6);
  EXPECT_EQ(columns.view().bytes(), 4 * 4 + 2 + 4 * 4);
}

// Every split of small shapes, some N:M, ragged regions included; also row by row, and with the region in tiles.
TEST(SpenseMatrix, PackUnpackIsBitExact) {
  constexpr NmPattern kPatterns[] = {{2, 4}, {4, 8}, {6, 8}, {1, 3}};
  int seed = 0;
  for (const NmPattern pattern : kPatterns)
    for (const SpenseSplit split : kSplits)
      for (const auto& [out, in] : {std::pair{2, 2}, {5, 9}, {16, 32}, {33, 40}, {20, 67}}) {
        const int64_t size = split == SpenseSplit::out ? out : in;
        for (const int64_t dense : {int64_t{1}, size / 4 + 1, size - 1}) {
          if (dense >= size) continue;
          const SpenseLayout layout{split, pattern, dense};
          const std::vector<float> weight = random_spense_weights(layout, out, in, ++seed);
          for (const DType dtype : kWeightTypes) {
            const SpenseMatrix packed = must_pack_spense(layout, dtype, weight, out, in);
            const SpenseView view = packed.view();
            ASSERT_EQ(view.dense_count(), dense);
            ASSERT_EQ(unpack_spense(view), to_bytes(dtype, weight));
            const std::vector<float> expected = rounded(dtype, weight);
            SpenseView tiled = view;
            NmTiles tiles;
            if (pattern == NmPattern{2, 4}) {
              tiles = make_nm_tiles(packed.sparse.view());
              tiled.sparse = tiles.view();
              EXPECT_EQ(tiled.pattern(), pattern);
            }
            for (const SpenseView* form : {&view, static_cast<const SpenseView*>(&tiled)})
              for (int64_t first = 0; first < out; ++first) {
                Matrix<float> rows(std::min<int64_t>(3, out - first), in);
                std::ranges::fill(rows.values(), kNan);  // every element must be written
                unpack_spense_rows_f32(*form, first, rows.rows(), rows.view());
                ASSERT_TRUE(
                    std::ranges::equal(rows.values(), std::span(expected).subspan(first * in, rows.rows() * in)))
                    << out << " x " << in << ", dense " << dense << ", row " << first;
              }
          }
        }
      }
}

TEST(SpenseMatrix, RefusesEmptyRegions) {
  const std::vector<float> weight(4 * 8);
  const auto bytes = to_bytes(DType::f32, weight);
  for (const int64_t dense : {-1, 0, 4, 5})
    EXPECT_FAILURE(pack_spense({SpenseSplit::out, {2, 4}, dense}, DType::f32, bytes, 4, 8),
                   StatusKind::invalid_argument, "spense: expected 1 to 3 dense rows of 4");
  EXPECT_FAILURE(pack_spense({SpenseSplit::in, {2, 4}, 8}, DType::f32, bytes, 4, 8), StatusKind::invalid_argument,
                 "expected 1 to 7 dense columns of 8, got 8");
}

TEST(SpenseMatrix, RefusesWhatDoesNotFit) {
  std::vector<float> weight = random_spense_weights({SpenseSplit::in, {2, 4}, 3}, 2, 11, 1);
  weight[11 + 4] = weight[11 + 5] = weight[11 + 6] = 1;
  weight[11 + 7] = 0;
  const auto pack = [&](const SpenseLayout& layout) {
    return pack_spense(layout, DType::f32, to_bytes(DType::f32, weight), 2, 11);
  };
  EXPECT_FAILURE(pack({SpenseSplit::in, {2, 4}, 3}), StatusKind::invalid_argument,
                 "row 1, group 1 (columns 4..7): expected at most 2 non-zeros");
  EXPECT_FAILURE(pack({SpenseSplit::in, {4, 4}, 3}), StatusKind::invalid_argument, "pattern 4:4");
  weight[11 + 4] = 0;
  weight[11 + 9] = kNan;
  EXPECT_FAILURE(pack({SpenseSplit::in, {2, 4}, 3}), StatusKind::corruption,
                 "dense region: row 1: expected finite values");
  EXPECT_FAILURE(pack_spense({SpenseSplit::in, {2, 4}, 3}, DType::f32, {}, 2, 11), StatusKind::corruption, "weight");
  EXPECT_FAILURE(pack_spense({SpenseSplit::in, {2, 4}, 3}, DType::i8, {}, 2, 11), StatusKind::unsupported, "I8");
}

// Worked: 384 has tiles of 16: 1/4 is 96 = 6 tiles. 128 has tiles of 8, 14336 of 128. 172 has tiles of 8: of 129
// 16 tiles (128) are nearest, so 44 stay dense. 30 has tiles of 1, 2 of 1.
TEST(SpenseMatrix, DenseCountIsRoundedToTiles) {
  EXPECT_EQ(spense_dense_count(14336, 0.25), 3584);
  EXPECT_EQ(spense_dense_count(14336, 0.125), 1792);
  EXPECT_EQ(spense_dense_count(14336, 0.1), 1408);  // 12902.4 / 128 = 100.8 tiles are kept
  EXPECT_EQ(spense_dense_count(384, 0.25), 96);
  EXPECT_EQ(spense_dense_count(384, 0.125), 48);
  EXPECT_EQ(spense_dense_count(128, 0.25), 32);
  EXPECT_EQ(spense_dense_count(172, 0.25), 44);
  EXPECT_EQ(spense_dense_count(30, 0.5), 15);
  EXPECT_EQ(spense_dense_count(2, 0.5), 1);
}

TEST(SpenseMatrix, DenseCountLeavesBothRegions) {
  EXPECT_EQ(spense_dense_count(0, 0.5), 0);
  EXPECT_EQ(spense_dense_count(1, 0.5), 0);
  for (int64_t size = 2; size < 600; ++size)
    for (const double fraction : {0.0, 1e-6, 0.25, 0.5, 0.999999, 1.0}) {
      const int64_t dense = spense_dense_count(size, fraction);
      ASSERT_GE(dense, 1) << size << " " << fraction;
      ASSERT_LT(dense, size) << size << " " << fraction;
      int64_t tile = 128;
      while (tile > 1 && 16 * tile > size) tile /= 2;
      ASSERT_EQ((size - dense) % tile, 0) << size << " " << fraction;
      if (size >= 8 && (fraction == 0.25 || fraction == 0.5)) {
        ASSERT_LE(std::abs(static_cast<double>(dense) / static_cast<double>(size) - fraction), 1.0 / 16) << size;
      }
    }
}

}  // namespace
}  // namespace esparse

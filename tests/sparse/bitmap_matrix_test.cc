#include "sparse/bitmap_matrix.h"

#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "sparse/bitmap_support.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

constexpr DType kWeightTypes[] = {DType::f32, DType::f16, DType::bf16};
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> unpack_to_f32(const BitmapMatrix& packed) {
  Matrix<float> dense(packed.out_features, packed.in_features);
  std::ranges::fill(dense.values(), kNan);  // every element must be written
  unpack_bitmap_rows_f32(packed.view(), 0, packed.out_features, dense.view());
  return {dense.values().begin(), dense.values().end()};
}

Result<std::vector<int64_t>> check(const BitmapMatrix& packed) {
  return check_bitmap(packed.dtype, packed.out_features, packed.in_features, packed.values, packed.bitmask);
}

// Ten columns: 1, 3, 9 are kept, bits 0000 1010b and 10b; the second row is empty, the third keeps its first column.
TEST(BitmapMatrix, WorkedExample) {
  const std::vector<float> weight = {0, 5, 0, 6, 0, 0, 0, 0, 0, 7,  //
                                     0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                     8, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const BitmapMatrix packed = must_pack_bitmap(DType::f32, weight, 3, 10);
  EXPECT_EQ(packed.bitmask, (std::vector<uint8_t>{0x0a, 0x02, 0, 0, 0x01, 0}));
  EXPECT_EQ(packed.row_offsets, (std::vector<int64_t>{0, 3, 3, 4}));
  EXPECT_EQ(packed.values, to_bytes(DType::f32, std::vector<float>{5, 6, 7, 8}));
  EXPECT_EQ(unpack_to_f32(packed), weight);
}

class BitmapDensities : public testing::TestWithParam<double> {};

// In-features run over ragged bytes, 64-bit words and strips of 512 columns.
TEST_P(BitmapDensities, PackUnpackIsBitExact) {
  for (const int64_t in : all_widths()) {
    const std::vector<float> weight = random_bitmap_weights(GetParam(), 5, in, static_cast<int>(in));
    for (const DType dtype : kWeightTypes) {
      const auto dense = to_bytes(dtype, weight);
      const BitmapMatrix packed = must_pack_bitmap(dtype, weight, 5, in);
      const BitmapView view = packed.view();
      ASSERT_EQ(static_cast<int64_t>(packed.bitmask.size()), 5 * ((in + 7) / 8));
      int64_t kept = 0;
      for (int64_t row = 0; row < 5; ++row) {
        ASSERT_EQ(packed.row_offsets[row], kept);
        for (int64_t column = 0; column < in; ++column) {
          const bool bit = (packed.bitmask[row * ((in + 7) / 8) + column / 8] >> (column % 8) & 1) != 0;
          ASSERT_EQ(bit, weight[row * in + column] != 0);
          kept += bit;
        }
      }
      ASSERT_EQ(view.kept(), kept);
      ASSERT_EQ(view.values_bytes(), kept * dtype_bytes(dtype));
      ASSERT_EQ(view.bitmask_bytes(), static_cast<int64_t>(packed.bitmask.size()));
      const auto offsets = check(packed);
      ASSERT_OK(offsets);
      ASSERT_EQ(*offsets, packed.row_offsets);
      ASSERT_EQ(unpack_bitmap(view), dense);
      std::vector<float> expected(weight.size());
      convert_to_f32(dtype, dense.data(), expected);
      ASSERT_EQ(unpack_to_f32(packed), expected);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sweep, BitmapDensities, testing::Values(0.0, 0.3, 0.5, 0.9, 1.0));

TEST(BitmapMatrix, EveryWrongBitIsFound) {
  for (const int64_t in : {1, 7, 8, 9, 70}) {
    const BitmapMatrix packed = must_pack_bitmap(DType::f16, random_bitmap_weights(0.5, 3, in, 1), 3, in);
    const int64_t row_bytes = packed.view().bitmask_row_bytes();
    for (int64_t bit = 0; bit < 8 * row_bytes; ++bit) {
      BitmapMatrix damaged = packed;
      damaged.bitmask[row_bytes + bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      EXPECT_FAILURE(check(damaged), StatusKind::corruption,
                     bit < in ? "as many as bits are set" : "row 1: expected zero pad bits")
          << bit << " of " << in;
    }
  }
}

TEST(BitmapMatrix, NegativeZeroIsZero) {
  for (const DType dtype : kWeightTypes) {
    const BitmapMatrix packed = must_pack_bitmap(dtype, std::vector<float>{-0.0f, 1, 0, -0.0f}, 1, 4);
    EXPECT_EQ(packed.bitmask, std::vector<uint8_t>{0x2});
    EXPECT_EQ(unpack_bitmap(packed.view()), to_bytes(dtype, std::vector<float>{0, 1, 0, 0}));
  }
}

TEST(BitmapMatrix, SubnormalsAreKept) {
  for (const DType dtype : kWeightTypes) {
    std::vector<std::byte> weight(4 * dtype_bytes(dtype));
    weight[2 * dtype_bytes(dtype)] = std::byte{1};  // the smallest number above zero, at column 2
    const auto packed = pack_bitmap(dtype, weight, 1, 4);
    ASSERT_OK(packed);
    EXPECT_EQ(packed->bitmask, std::vector<uint8_t>{0x4});
    EXPECT_EQ(unpack_bitmap(packed->view()), weight);
  }
}

// A file may keep zeros of either sign: they are values like others.
TEST(BitmapMatrix, KeptZerosPassTheCheck) {
  BitmapMatrix packed = must_pack_bitmap(DType::f32, std::vector<float>{0, 1, 2, 0}, 1, 4);
  packed.values = to_bytes(DType::f32, std::vector<float>{-0.0f, 0.0f});
  EXPECT_OK(check(packed));
}

TEST(BitmapMatrix, RefusesNanAndInfinity) {
  for (const float bad : {kNan, kInfinity, -kInfinity})
    for (const DType dtype : kWeightTypes) {
      std::vector<float> weight(2 * 9, 0.0f);
      weight[9 + 8] = bad;
      EXPECT_FAILURE(pack_bitmap(dtype, to_bytes(dtype, weight), 2, 9), StatusKind::numeric,
                     "row 1, column 8: expected finite values");
      BitmapMatrix packed = must_pack_bitmap(dtype, std::vector<float>{1, 2, 0, 3}, 2, 2);
      packed.values = to_bytes(dtype, std::vector<float>{1, 2, bad});
      EXPECT_FAILURE(check(packed), StatusKind::corruption, "row 1: expected finite values");
    }
}

TEST(BitmapMatrix, NamesTheFirstBadRowForAnyThreadCount) {
  std::vector<float> weight(400 * 4, 1.0f);
  for (const int64_t row : {77, 211, 399}) weight[row * 4 + 2] = kNan;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    EXPECT_FAILURE(pack_bitmap(DType::f32, to_bytes(DType::f32, weight), 400, 4), StatusKind::numeric,
                   "row 77, column 2");
  }
  set_thread_count(0);
}

TEST(BitmapMatrix, RefusesShapesThatDoNotFit) {
  const std::vector<std::byte> bytes(4 * 10 * 4);
  EXPECT_FAILURE(pack_bitmap(DType::f32, bytes, 4, 8), StatusKind::corruption, "expected 4 rows of 32 bytes");
  EXPECT_FAILURE(pack_bitmap(DType::f32, bytes, -4, 8), StatusKind::invalid_argument, "shape [-4, 8]");
  EXPECT_FAILURE(pack_bitmap(DType::f32, bytes, int64_t{1} << 40, 8), StatusKind::invalid_argument, "shape [");
  EXPECT_FAILURE(pack_bitmap(DType::f32, {}, 4, 0), StatusKind::invalid_argument, "expected at least one column");
  EXPECT_FAILURE(pack_bitmap(DType::i32, bytes, 4, 10), StatusKind::unsupported, "F32, F16 or BF16, got I32");
}

TEST(BitmapMatrix, EmptyMatricesAreFine) {
  const auto packed = pack_bitmap(DType::f32, {}, 0, 8);
  ASSERT_OK(packed);
  const auto offsets = check(*packed);
  ASSERT_OK(offsets);
  EXPECT_EQ(*offsets, std::vector<int64_t>{0});
  EXPECT_TRUE(unpack_bitmap(packed->view()).empty());
}

TEST(BitmapMatrix, CheckFindsWrongSizes) {
  const BitmapMatrix packed = must_pack_bitmap(DType::bf16, random_bitmap_weights(1.0, 3, 16, 1), 3, 16);
  BitmapMatrix damaged = packed;
  damaged.values.pop_back();
  EXPECT_FAILURE(check(damaged), StatusKind::corruption, "values: expected 48 of 2 bytes, as many as bits are set");
  damaged = packed;
  damaged.values.resize(98);
  EXPECT_FAILURE(check(damaged), StatusKind::corruption, "got 98 bytes");
  damaged = packed;
  damaged.bitmask.push_back(0);
  EXPECT_FAILURE(check(damaged), StatusKind::corruption, "bitmask: expected 3 rows of 2 bytes, got 7");
  damaged = packed;
  damaged.out_features = 4;
  EXPECT_FAILURE(check(damaged), StatusKind::corruption, "bitmask: expected 4 rows");
  damaged = packed;
  damaged.in_features = 14;
  EXPECT_FAILURE(check(damaged), StatusKind::corruption, "row 0: expected zero pad bits");
  damaged = packed;
  damaged.dtype = DType::i8;
  EXPECT_FAILURE(check(damaged), StatusKind::unsupported, "got I8");
  damaged = packed;
  damaged.out_features = damaged.in_features = int64_t{1} << 62;
  EXPECT_FAILURE(check(damaged), StatusKind::invalid_argument, "shape [");
  EXPECT_FAILURE(check_bitmap(DType::f32, 2147483647, 0, {}, {}), StatusKind::invalid_argument, "at least one column");
}

TEST(BitmapMatrix, UnpacksRangesIntoWiderRows) {
  const BitmapMatrix packed = must_pack_bitmap(DType::bf16, random_bitmap_weights(0.5, 6, 20, 3), 6, 20);
  const std::vector<float> all = unpack_to_f32(packed);
  std::vector<float> target(3 * 24, -1.0f);
  unpack_bitmap_rows_f32(packed.view(), 2, 3, MatrixView<float>(target.data(), 3, 20, 24));
  for (int64_t row = 0; row < 3; ++row)
    for (int64_t column = 0; column < 24; ++column)
      EXPECT_EQ(target[row * 24 + column], column < 20 ? all[(2 + row) * 20 + column] : -1.0f);
}

}  // namespace
}  // namespace esparse

#include "sparse/nm_matrix.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "sparse/nm_support.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

constexpr DType kWeightTypes[] = {DType::f32, DType::f16, DType::bf16};
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> unpack_to_f32(const NmMatrix& packed) {
  Matrix<float> dense(packed.out_features, packed.in_features);
  std::ranges::fill(dense.values(), kNan);  // every element must be written
  unpack_nm_rows_f32(packed.view(), 0, packed.out_features, dense.view());
  return {dense.values().begin(), dense.values().end()};
}

Status validate(const NmMatrix& packed) { return validate_nm(packed.view(), packed.values, packed.bitmask); }

// 2:4, one row of 8: columns 1, 3 of the first group (bits 1010b = 0xa), columns 0, 1 of the second (0011b = 0x3);
// byte = 0x3a. The second group has one non-zero, at column 1; the lowest free column, 0, fills its other slot.
TEST(NmMatrix, WorkedExample) {
  const std::vector<float> weight = {0, 5, 0, 6, 0, 7, 0, 0};
  const NmMatrix packed = must_pack({2, 4}, DType::f32, weight, 1, 8);
  ASSERT_EQ(packed.bitmask, std::vector<uint8_t>{0x3a});
  std::vector<float> values(4);
  convert_to_f32(DType::f32, packed.values.data(), values);
  EXPECT_EQ(values, (std::vector<float>{5, 6, 0, 7}));
  EXPECT_EQ(unpack_to_f32(packed), weight);
}

// 2:4, six columns: the tail of two keeps ceil(2 * 2 / 4) = 1, here column 5: 10 1010b = 0x2a. In the second row the
// tail is all zero, so its slot takes column 4: 01 1100b = 0x1c.
TEST(NmMatrix, WorkedExampleOfATail) {
  const std::vector<float> weight = {0, 5, 0, 6, 0, 7,  //
                                     0, 0, 3, 4, 0, 0};
  const NmMatrix packed = must_pack({2, 4}, DType::f32, weight, 2, 6);
  EXPECT_EQ(packed.bitmask, (std::vector<uint8_t>{0x2a, 0x1c}));
  EXPECT_EQ(packed.values, to_bytes(DType::f32, std::vector<float>{5, 6, 7, 3, 4, 0}));
  EXPECT_OK(validate(packed));
  EXPECT_EQ(unpack_to_f32(packed), weight);
}

// Every mask of a pattern: row i holds one group whose non-zeros are the bits of the i-th mask.
void check_all_masks(NmPattern pattern, int expected_masks) {
  std::vector<float> weight;
  std::vector<uint8_t> masks;
  for (int mask = 0; mask < 1 << pattern.group; ++mask) {
    if (std::popcount(static_cast<unsigned>(mask)) != pattern.kept) continue;
    masks.push_back(static_cast<uint8_t>(mask));
    for (int k = 0; k < pattern.group; ++k) weight.push_back((mask >> k & 1) != 0 ? static_cast<float>(k + 1) : 0.0f);
  }
  const auto rows = static_cast<int64_t>(masks.size());
  ASSERT_EQ(rows, expected_masks);
  for (DType dtype : kWeightTypes) {
    const NmMatrix packed = must_pack(pattern, dtype, weight, rows, pattern.group);
    EXPECT_EQ(packed.bitmask, masks);
    EXPECT_OK(validate(packed));
    EXPECT_EQ(unpack_nm(packed.view()), to_bytes(dtype, weight));
    EXPECT_EQ(unpack_to_f32(packed), weight);
  }
}

TEST(NmMatrix, AllSixMasksOf24) { check_all_masks({2, 4}, 6); }
TEST(NmMatrix, AllSeventyMasksOf48) { check_all_masks({4, 8}, 70); }

class NmMatrixPatterns : public testing::TestWithParam<NmPattern> {};

// The weights fill every slot, so that the bits must be exactly those of the non-zeros.
void check_bits_are_nonzeros(const NmMatrix& packed, const std::vector<float>& weight) {
  const int64_t row_bytes = packed.view().bitmask_row_bytes();
  std::vector<uint8_t> expected(packed.out_features * row_bytes);
  for (int64_t row = 0; row < packed.out_features; ++row)
    for (int64_t column = 0; column < packed.in_features; ++column)
      if (weight[row * packed.in_features + column] != 0)
        expected[row * row_bytes + column / 8] |= static_cast<uint8_t>(1 << column % 8);
  ASSERT_EQ(packed.bitmask, expected) << packed.pattern.text() << " " << packed.in_features;
}

// In-features run over whole and ragged groups, bytes, 64-bit words and strips of 512 columns.
TEST_P(NmMatrixPatterns, PackUnpackIsBitExact) {
  const NmPattern pattern = GetParam();
  std::vector<int64_t> widths = all_widths();
  for (int64_t groups : {4, 16, 37, 150}) widths.push_back(groups * pattern.group);
  for (int64_t in : widths) {
    const std::vector<float> weight = random_nm_weights(pattern, 5, in, static_cast<int>(in));
    const int64_t kept = in / pattern.group * pattern.kept + kept_reference(pattern, in % pattern.group);
    for (DType dtype : kWeightTypes) {
      const auto dense = to_bytes(dtype, weight);
      const NmMatrix packed = must_pack(pattern, dtype, weight, 5, in);
      const NmView view = packed.view();
      EXPECT_EQ(packed.values.size(), 5 * kept * dtype_bytes(dtype));
      EXPECT_EQ(packed.bitmask.size(), 5 * ((in + 7) / 8));
      EXPECT_EQ(static_cast<int64_t>(packed.values.size()), view.values_bytes());
      EXPECT_EQ(static_cast<int64_t>(packed.bitmask.size()), view.bitmask_bytes());
      check_bits_are_nonzeros(packed, weight);
      ASSERT_OK(validate(packed));
      ASSERT_EQ(unpack_nm(view), dense);
      std::vector<float> expected(weight.size());
      convert_to_f32(dtype, dense.data(), expected);
      ASSERT_EQ(unpack_to_f32(packed), expected);
    }
  }
}

TEST_P(NmMatrixPatterns, AllZeroWeightsFillTheLowestColumns) {
  const NmPattern pattern = GetParam();
  for (int64_t in = 1; in <= 3 * pattern.group; ++in) {
    const std::vector<float> weight(2 * in);
    const NmMatrix packed = must_pack(pattern, DType::bf16, weight, 2, in);
    EXPECT_OK(validate(packed));
    EXPECT_EQ(unpack_to_f32(packed), weight);
    const int64_t tail = in % pattern.group;
    for (int64_t column = 0; column < in; ++column) {
      const int kept = column < in - tail ? pattern.kept : kept_reference(pattern, tail);
      EXPECT_EQ(packed.bitmask[column / 8] >> (column % 8) & 1, column % pattern.group < kept) << in << " " << column;
    }
  }
}

// Every bit flipped on its own: one too many or one missing in its group, whole or not, or a pad bit.
void check_every_wrong_bit(NmPattern pattern, int64_t in) {
  const NmMatrix packed = must_pack(pattern, DType::f16, random_nm_weights(pattern, 2, in, 1), 2, in);
  const int64_t row_bytes = packed.view().bitmask_row_bytes();
  for (int64_t bit = 0; bit < 8 * row_bytes; ++bit) {
    NmMatrix damaged = packed;
    damaged.bitmask[row_bytes + bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const int64_t first = bit / pattern.group * pattern.group, width = std::min<int64_t>(pattern.group, in - first);
    const auto part = bit < in
                          ? fmt::format("row 1, group {} (columns {}..{}): expected {} bits set", bit / pattern.group,
                                        first, first + width - 1, kept_reference(pattern, width))
                          : std::string("row 1: expected zero pad bits");
    EXPECT_FAILURE(validate(damaged), StatusKind::corruption, part) << bit << " of " << in;
  }
}

TEST_P(NmMatrixPatterns, EveryWrongBitIsFound) {
  const NmPattern pattern = GetParam();
  for (int64_t tail : {0, 1, pattern.group / 2, pattern.group - 1}) {
    check_every_wrong_bit(pattern, 9 * pattern.group + tail);
    if (tail > 0) check_every_wrong_bit(pattern, tail);
  }
}

INSTANTIATE_TEST_SUITE_P(Sweep, NmMatrixPatterns,
                         testing::Values(NmPattern{2, 4}, NmPattern{1, 4}, NmPattern{3, 4}, NmPattern{1, 2},
                                         NmPattern{3, 8}, NmPattern{6, 8}, NmPattern{4, 8}, NmPattern{5, 7},
                                         NmPattern{8, 16}, NmPattern{16, 32}, NmPattern{31, 32}, NmPattern{1, 3}),
                         [](const auto& test) { return fmt::format("{}of{}", test.param.kept, test.param.group); });

TEST(NmMatrix, PadBitsOfARaggedLastByteAreZero) {
  const std::vector<float> weight(12, 0.0f);  // 12 columns: 3 groups of 4, the upper half of the second byte is padding
  const NmMatrix packed = must_pack({2, 4}, DType::f32, weight, 1, 12);
  EXPECT_EQ(packed.bitmask, (std::vector<uint8_t>{0x33, 0x03}));
}

TEST(NmMatrix, NegativeZeroIsZero) {
  // Three words that are not +0.0, but only one value that is not zero; both slots of the second group hold -0.0.
  const std::vector<float> weight = {-0.0f, 1, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f};
  for (DType dtype : kWeightTypes) {
    const NmMatrix packed = must_pack({2, 4}, dtype, weight, 1, 8);
    EXPECT_EQ(packed.bitmask, std::vector<uint8_t>{0x33});
    EXPECT_EQ(packed.values, to_bytes(dtype, std::vector<float>{0, 1, 0, 0}));
    EXPECT_EQ(unpack_nm(packed.view()), to_bytes(dtype, std::vector<float>{0, 1, 0, 0, 0, 0, 0, 0}));
  }
}

TEST(NmMatrix, SubnormalsAreKept) {
  for (DType dtype : kWeightTypes) {
    std::vector<std::byte> weight(4 * dtype_bytes(dtype));
    weight[2 * dtype_bytes(dtype)] = std::byte{1};  // the smallest number above zero, at column 2
    const auto packed = pack_nm({1, 4}, dtype, weight, 1, 4);
    ASSERT_OK(packed);
    EXPECT_EQ(packed->bitmask, std::vector<uint8_t>{0x4});
    EXPECT_EQ(unpack_nm(packed->view()), weight);
    EXPECT_GT(unpack_to_f32(*packed)[2], 0.0f);
  }
}

TEST(NmMatrix, RefusesTooManyNonZeros) {
  std::vector<float> weight(3 * 12, 0.0f);
  for (int k = 0; k < 3; ++k) weight[2 * 12 + 8 + k] = 1;  // row 2, group 2
  for (DType dtype : kWeightTypes) {
    EXPECT_FAILURE(pack_nm({2, 4}, dtype, to_bytes(dtype, weight), 3, 12), StatusKind::invalid_argument,
                   "row 2, group 2 (columns 8..11): expected at most 2 non-zeros for pattern 2:4, got 3");
  }
}

// As many as a whole group may hold are too many for a tail.
TEST(NmMatrix, RefusesTooManyNonZerosInATail) {
  std::vector<float> weight(2 * 6, 0.0f);
  weight[6 + 4] = weight[6 + 5] = 1;
  EXPECT_FAILURE(pack_nm({2, 4}, DType::f32, to_bytes(DType::f32, weight), 2, 6), StatusKind::invalid_argument,
                 "row 1, group 1 (columns 4..5): expected at most 1 non-zeros for pattern 2:4, got 2");
  EXPECT_FAILURE(pack_nm({4, 8}, DType::f32, to_bytes(DType::f32, std::vector<float>{1, 0, 1, 1}), 1, 4),
                 StatusKind::invalid_argument, "row 0, group 0 (columns 0..3): expected at most 2 non-zeros");
}

TEST(NmMatrix, RefusesNanAndInfinity) {
  for (float bad : {kNan, kInfinity, -kInfinity}) {
    EXPECT_FAILURE(pack_nm({2, 4}, DType::f32, to_bytes(DType::f32, std::vector<float>{0, 0, 0, 0, 0, bad}), 1, 6),
                   StatusKind::numeric, "row 0, group 1 (columns 4..5): expected finite values");
    std::vector<float> weight(2 * 8, 0.0f);
    weight[8 + 5] = bad;
    for (DType dtype : kWeightTypes) {
      EXPECT_FAILURE(pack_nm({2, 4}, dtype, to_bytes(dtype, weight), 2, 8), StatusKind::numeric,
                     "row 1, group 1 (columns 4..7): expected finite values");
    }
  }
}

TEST(NmMatrix, NamesTheFirstBadRowForAnyThreadCount) {
  std::vector<float> weight(400 * 4, 0.0f);
  for (int64_t row : {77, 211, 399}) std::fill_n(weight.begin() + row * 4, 4, 1.0f);
  for (int threads : {1, 2, 5}) {
    set_thread_count(threads);
    EXPECT_FAILURE(pack_nm({2, 4}, DType::f32, to_bytes(DType::f32, weight), 400, 4), StatusKind::invalid_argument,
                   "row 77, group 0");
  }
  set_thread_count(0);
}

TEST(NmMatrix, RefusesShapesThatDoNotFit) {
  const std::vector<std::byte> bytes(4 * 10 * 4);
  EXPECT_FAILURE(pack_nm({2, 4}, DType::f32, bytes, 4, 8), StatusKind::corruption, "expected 4 rows of 32 bytes");
  EXPECT_FAILURE(pack_nm({2, 4}, DType::f32, bytes, -4, 8), StatusKind::invalid_argument, "shape [-4, 8]");
  EXPECT_FAILURE(pack_nm({2, 4}, DType::f32, bytes, int64_t{1} << 40, 8), StatusKind::invalid_argument, "shape [");
  EXPECT_FAILURE(pack_nm({4, 4}, DType::f32, bytes, 4, 8), StatusKind::invalid_argument, "1 <= N < M");
  EXPECT_FAILURE(pack_nm({2, 64}, DType::f32, bytes, 4, 64), StatusKind::invalid_argument, "1 <= N < M");
  EXPECT_FAILURE(pack_nm({2, 4}, DType::i32, bytes, 4, 8), StatusKind::unsupported, "F32, F16 or BF16, got I32");
}

TEST(NmMatrix, EmptyMatricesAreFine) {
  const auto packed = pack_nm({2, 4}, DType::f32, {}, 0, 8);
  ASSERT_OK(packed);
  EXPECT_OK(validate(*packed));
  EXPECT_TRUE(unpack_nm(packed->view()).empty());
}

TEST(NmMatrix, ValidateFindsWrongSizes) {
  const NmMatrix packed = must_pack({2, 4}, DType::bf16, random_nm_weights({2, 4}, 3, 16, 1), 3, 16);
  NmMatrix damaged = packed;
  damaged.values.pop_back();
  EXPECT_FAILURE(validate(damaged), StatusKind::corruption, "values: expected 3 rows of 16 bytes, got 47");
  damaged = packed;
  damaged.bitmask.push_back(0);
  EXPECT_FAILURE(validate(damaged), StatusKind::corruption, "bitmask: expected 3 rows of 2 bytes, got 7");
  damaged = packed;
  damaged.out_features = 4;
  EXPECT_FAILURE(validate(damaged), StatusKind::corruption, "values: expected 4 rows");
  damaged = packed;
  damaged.in_features = 14;
  EXPECT_FAILURE(validate(damaged), StatusKind::corruption, "values: expected 3 rows of 14 bytes, got 48");
  damaged = packed;
  damaged.dtype = DType::i8;
  EXPECT_FAILURE(validate(damaged), StatusKind::unsupported, "got I8");
  for (const NmPattern pattern : {NmPattern{0, 4}, {4, 4}, {-1, 4}, {2, 0}, {2, -4}, {2, 64}, {3, 1}}) {
    damaged = packed;
    damaged.pattern = pattern;
    EXPECT_FAILURE(validate(damaged), StatusKind::invalid_argument, "1 <= N < M") << pattern.text();
  }
  damaged = packed;
  damaged.out_features = damaged.in_features = int64_t{1} << 62;
  EXPECT_FAILURE(validate(damaged), StatusKind::invalid_argument, "shape [");
}

TEST(NmMatrix, ValidateFindsValuesThatAreNotFinite) {
  for (DType dtype : kWeightTypes) {
    for (float bad : {kNan, kInfinity, -kInfinity}) {
      NmMatrix packed = must_pack({2, 4}, dtype, random_nm_weights({2, 4}, 3, 16, 1), 3, 16);
      convert_from_f32(dtype, std::span(&bad, 1), packed.values.data() + (2 * 8 + 3) * dtype_bytes(dtype));
      EXPECT_FAILURE(validate(packed), StatusKind::corruption, "row 2: expected finite values");
    }
  }
}

TEST(NmMatrix, UnpacksUnalignedBytesAndSomeRows) {
  const NmPattern pattern{2, 4};
  const std::vector<float> weight = random_nm_weights(pattern, 6, 20, 3);
  for (DType dtype : kWeightTypes) {
    const NmMatrix packed = must_pack(pattern, dtype, weight, 6, 20);
    std::vector<std::byte> moved(packed.values.size() + 1);
    std::memcpy(moved.data() + 1, packed.values.data(), packed.values.size());
    NmView view = packed.view();
    view.values = moved.data() + 1;
    EXPECT_OK(validate_nm(view, std::span(moved).subspan(1), packed.bitmask));
    EXPECT_EQ(unpack_nm(view), to_bytes(dtype, weight));
    const auto all = unpack_to_f32(packed);
    // Rows 2..4 into a wider target: nothing beside them is touched.
    std::vector<float> target(3 * 24, -1.0f);
    unpack_nm_rows_f32(view, 2, 3, MatrixView<float>(target.data(), 3, 20, 24));
    for (int64_t row = 0; row < 3; ++row) {
      for (int64_t column = 0; column < 24; ++column)
        EXPECT_EQ(target[row * 24 + column], column < 20 ? all[(2 + row) * 20 + column] : -1.0f);
    }
  }
}

// What the format page promises: 2:4 in 16 bits takes 9/16 of the dense bytes.
TEST(NmMatrix, BytesOf24Bf16) {
  const NmView view{{2, 4}, DType::bf16, 4096, 11008, nullptr, nullptr};
  EXPECT_EQ((view.values_bytes() + view.bitmask_bytes()) * 16, 4096 * 11008 * 2 * 9);
}

}  // namespace
}  // namespace esparse

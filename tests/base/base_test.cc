// Checked arithmetic, matrix views, mapped files and durations.
#include <limits>

#include <gtest/gtest.h>

#include "base/checked.h"
#include "base/matrix.h"
#include "base/mmap.h"
#include "base/progress.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"
#include "support/unprivileged.h"

namespace esparse {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

TEST(Checked, Add) {
  EXPECT_EQ(checked_add(2, 3), 5);
  EXPECT_EQ(checked_add(kMax, 0), kMax);
  EXPECT_EQ(checked_add(kMax, kMin), -1);
  EXPECT_EQ(checked_add(kMax, 1), std::nullopt);
  EXPECT_EQ(checked_add(kMin, -1), std::nullopt);
}

TEST(Checked, Multiply) {
  EXPECT_EQ(checked_mul(-4, 5), -20);
  EXPECT_EQ(checked_mul(kMax, 1), kMax);
  EXPECT_EQ(checked_mul(int64_t{1} << 31, int64_t{1} << 31), int64_t{1} << 62);
  EXPECT_EQ(checked_mul(int64_t{1} << 32, int64_t{1} << 32), std::nullopt);
  EXPECT_EQ(checked_mul(int64_t{1} << 32, int64_t{1} << 31), std::nullopt);
  EXPECT_EQ(checked_mul(kMin, -1), std::nullopt);
}

TEST(Checked, Product) {
  auto product = [](std::vector<int64_t> dims) { return checked_product(dims); };
  EXPECT_EQ(product({}), 1);
  EXPECT_EQ(product({2, 3, 4}), 24);
  EXPECT_EQ(product({5, 0}), 0);
  EXPECT_EQ(product({-1}), std::nullopt);
  EXPECT_EQ(product({0, -1}), std::nullopt);
  EXPECT_EQ(product({-2, -3}), std::nullopt);
  EXPECT_EQ(product({kMax, 2}), std::nullopt);
}

TEST(Checked, CeilDiv) {
  EXPECT_EQ(ceil_div(0, 4), 0);
  EXPECT_EQ(ceil_div(1, 4), 1);
  EXPECT_EQ(ceil_div(4, 4), 1);
  EXPECT_EQ(ceil_div(5, 4), 2);
}

// 3 x 4 with the value 10 * row + column.
Matrix<int> numbered() {
  Matrix<int> matrix(3, 4);
  for (int row = 0; row < 3; ++row)
    for (int col = 0; col < 4; ++col) matrix(row, col) = 10 * row + col;
  return matrix;
}

TEST(Matrix, IsRowMajorAndStartsAtZero) {
  const Matrix<float> zero(2, 3);
  for (const float value : zero.values()) EXPECT_EQ(value, 0.0f);
  Matrix<int> matrix = numbered();
  EXPECT_EQ(matrix.rows(), 3);
  EXPECT_EQ(matrix.cols(), 4);
  EXPECT_EQ(matrix.data()[1 * 4 + 2], 12);
  EXPECT_EQ(matrix.values().size(), 12u);
  EXPECT_EQ(matrix.row(2)[3], 23);
  const Matrix<int>& constant = matrix;
  EXPECT_EQ(constant(2, 1), 21);
  EXPECT_EQ(constant.row(1).size(), 4u);
}

TEST(MatrixView, PartsKeepTheStride) {
  Matrix<int> matrix = numbered();
  const MatrixView<int> part = matrix.view().rows_from(1, 2).cols_from(1, 2);
  EXPECT_EQ(part.rows, 2);
  EXPECT_EQ(part.cols, 2);
  EXPECT_EQ(part.stride, 4);
  EXPECT_EQ(part(0, 0), 11);
  EXPECT_EQ(part(1, 1), 22);
  EXPECT_EQ(part.row(1).size(), 2u);
  EXPECT_EQ(part.row(1)[0], 21);
  part(1, 0) = -5;
  EXPECT_EQ(matrix(2, 1), -5);
}

TEST(MatrixView, ConvertsToConst) {
  Matrix<int> matrix = numbered();
  const MatrixView<const int> view = matrix.view().cols_from(2, 2);
  EXPECT_EQ(view.stride, 4);
  EXPECT_EQ(view(2, 1), 23);
  static_assert(!std::is_convertible_v<MatrixView<const int>, MatrixView<int>>);
}

TEST(MatrixViewDeathTest, RefusesImpossibleShapes) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  int values[6] = {};
  EXPECT_DEATH(MatrixView<int>(values, 2, 3, 2), "internal check failed");
  EXPECT_DEATH(MatrixView<int>(values, -1, 3), "internal check failed");
}

TEST(MappedFile, GivesTheBytes) {
  const TempDir dir;
  write_text(dir / "f", "hello");
  auto opened = MappedFile::open(dir / "f");
  ASSERT_OK(opened);
  const std::byte* data = opened->bytes().data();
  MappedFile file = std::move(opened).value();
  EXPECT_EQ(file.bytes().data(), data);  // a move does not map again
  ASSERT_EQ(file.bytes().size(), 5u);
  EXPECT_EQ(file.bytes()[4], std::byte{'o'});
  MappedFile other;
  other = std::move(file);
  EXPECT_EQ(other.bytes().data(), data);
}

TEST(MappedFile, EmptyFileHasNoBytes) {
  const TempDir dir;
  write_text(dir / "f", "");
  const auto file = MappedFile::open(dir / "f");
  ASSERT_OK(file);
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFile, Refusals) {
  const TempDir dir;
  EXPECT_FAILURE(MappedFile::open(dir / "none"), StatusKind::not_found, (dir / "none").string());
  EXPECT_FAILURE(MappedFile::open(dir.path()), StatusKind::io, "expected a regular file");
  EXPECT_FAILURE(MappedFile::open("/dev/null"), StatusKind::io, "expected a regular file");
  write_text(dir / "f", "x");
  EXPECT_FAILURE(MappedFile::open(dir / "f/under"), StatusKind::io, "Not a directory");
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(dir / "f", std::filesystem::perms(0));
  const Unprivileged scope;
  EXPECT_FAILURE(MappedFile::open(dir / "f"), StatusKind::io, "Permission denied");
}

TEST(FormatDuration, ShowsTheTwoLargestUnits) {
  EXPECT_EQ(format_duration(0), "0s");
  EXPECT_EQ(format_duration(-3), "0s");
  EXPECT_EQ(format_duration(4.4), "4s");
  EXPECT_EQ(format_duration(59.4), "59s");
  EXPECT_EQ(format_duration(59.6), "1m00s");
  EXPECT_EQ(format_duration(187), "3m07s");
  EXPECT_EQ(format_duration(3599.6), "1h00m");
  EXPECT_EQ(format_duration(7500), "2h05m");
  EXPECT_EQ(format_duration(100 * 3600), "100h00m");
}

}  // namespace
}  // namespace esparse

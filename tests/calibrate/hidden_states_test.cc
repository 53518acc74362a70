#include "calibrate/hidden_states.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "support/file_size_limit.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

const HiddenStatesShape kShape{{5, 1, 0, 7}, 6};
constexpr uint64_t kRun = 0x1234567890abcdef;
constexpr int64_t kDataBegin = 4096;
constexpr int64_t kDataBytes = 13 * 6 * 4;

Matrix<float> numbered(int64_t rows, int64_t cols, float first) {
  Matrix<float> matrix(rows, cols);
  for (float& value : matrix.values()) value = first++;
  return matrix;
}

void fill(HiddenStates& states) {
  for (const int64_t window : {3, 0, 2, 1})
    ASSERT_OK(
        states.write(window, numbered(kShape.window_tokens[window], 6, static_cast<float>(1000 * window)).view()));
}

void expect_filled(const HiddenStates& states) {
  for (int64_t window = 0; window < 4; ++window) {
    Matrix<float> got(kShape.window_tokens[window], 6);
    for (float& value : got.values()) value = std::nanf("");
    ASSERT_OK(states.read(window, got.view()));
    const auto expected = numbered(got.rows(), 6, static_cast<float>(1000 * window));
    for (size_t i = 0; i < got.values().size(); ++i) ASSERT_EQ(got.values()[i], expected.values()[i]) << window;
  }
}

// Writes and reads through views with a gap between the rows.
void expect_strided(HiddenStates& states) {
  const Matrix<float> wide = numbered(5, 9, 0.5f);
  ASSERT_OK(states.write(0, wide.view().cols_from(2, 6)));
  Matrix<float> target = numbered(5, 8, -100);
  const Matrix<float> before = target;
  ASSERT_OK(states.read(0, target.view().cols_from(1, 6)));
  for (int64_t row = 0; row < 5; ++row)
    for (int64_t col = 0; col < 8; ++col)
      ASSERT_EQ(target(row, col), col == 0 || col == 7 ? before(row, col) : wide(row, col + 1)) << row << "," << col;
}

TEST(HiddenStates, ShapeCounts) {
  EXPECT_EQ(kShape.windows(), 4);
  EXPECT_EQ(kShape.longest_window(), 7);
  EXPECT_EQ(kShape.data_bytes(), kDataBytes);
  EXPECT_EQ((HiddenStatesShape{{}, 6}).longest_window(), 0);
}

TEST(HiddenStates, InMemory) {
  auto states = HiddenStates::in_memory(kShape);
  ASSERT_OK(states);
  EXPECT_FALSE(states->in_file());
  fill(*states);
  ASSERT_OK(states->finish());
  expect_filled(*states);
  expect_strided(*states);
}

TEST(HiddenStates, InAFile) {
  const TempDir dir;
  {
    auto states = HiddenStates::create_file(dir / "h", kShape, kRun);
    ASSERT_OK(states);
    EXPECT_TRUE(states->in_file());
    fill(*states);
    expect_filled(*states);
    ASSERT_OK(states->finish());
    expect_filled(*states);
  }
  auto states = HiddenStates::open_file(dir / "h", kShape, kRun);
  ASSERT_OK(states);
  expect_filled(*states);
  expect_strided(*states);
}

TEST(HiddenStates, FileBytesAreThese) {
  const TempDir dir;
  auto states = HiddenStates::create_file(dir / "h", {{1, 2}, 1}, 7);
  ASSERT_OK(states);
  ASSERT_OK(states->write(0, numbered(1, 1, 10).view()));
  ASSERT_OK(states->write(1, numbered(2, 1, 20).view()));
  ASSERT_OK(states->finish());
  const std::string text = read_text(dir / "h");
  ASSERT_EQ(text.size(), 4096u + 12);
  const int64_t header[] = {1, 7, 1, 2, 1, 2};  // version, fingerprint, hidden size, windows, tokens of each
  EXPECT_EQ(text.substr(0, 8), "esphiddn");
  EXPECT_EQ(std::memcmp(text.data() + 8, header, sizeof(header)), 0);
  const float data[] = {10, 20, 21};
  EXPECT_EQ(std::memcmp(text.data() + 4096, data, sizeof(data)), 0);
}

TEST(HiddenStates, OnlyAFinishedFileIsOpened) {
  const TempDir dir;
  auto states = HiddenStates::create_file(dir / "h", kShape, kRun);
  ASSERT_OK(states);
  auto open = [&] { return HiddenStates::open_file(dir / "h", kShape, kRun); };
  fill(*states);
  EXPECT_FAILURE(open(), StatusKind::corruption, "/h: expected a finished file of hidden states");
  ASSERT_OK(states->finish());
  EXPECT_OK(open());
  ASSERT_OK(states->write(1, numbered(1, 6, 0).view()));
  EXPECT_FAILURE(open(), StatusKind::corruption, "was a run interrupted?");
  ASSERT_OK(states->finish());
  auto again = open();
  ASSERT_OK(again);
  ASSERT_OK(again->write(1, numbered(1, 6, 0).view()));
  EXPECT_FAILURE(open(), StatusKind::corruption, "was a run interrupted?");
  ASSERT_OK(again->finish());
  EXPECT_OK(open());
}

class FinishedFile : public testing::Test {
 protected:
  void SetUp() override {
    auto states = HiddenStates::create_file(path_, kShape, kRun);
    ASSERT_OK(states);
    fill(*states);
    ASSERT_OK(states->finish());
  }
  // The file with one byte of the header changed.
  Result<HiddenStates> open_with_byte(size_t at, char value) {
    std::string text = read_text(path_);
    text[at] = value;
    write_text(dir_ / "changed", text);
    return HiddenStates::open_file(dir_ / "changed", kShape, kRun);
  }
  Result<HiddenStates> open_as(const HiddenStatesShape& shape, uint64_t run) {
    return HiddenStates::open_file(path_, shape, run);
  }

  TempDir dir_;
  fs::path path_ = dir_ / "h";
};

TEST_F(FinishedFile, RefusesAnotherHeader) {
  EXPECT_FAILURE(open_with_byte(0, 'E'), StatusKind::corruption, "expected a finished file");
  EXPECT_FAILURE(open_with_byte(8, 2), StatusKind::corruption, "expected version 1 of the format, got 2");
  EXPECT_FAILURE(open_with_byte(40, 4), StatusKind::invalid_argument, "its windows have other lengths");
  EXPECT_FAILURE(open_as(kShape, 1), StatusKind::invalid_argument,
                 "/h: expected the hidden states of run 0000000000000001, got those of run 1234567890abcdef");
  EXPECT_FAILURE(open_as({{5, 1, 0, 7}, 8}, kRun), StatusKind::invalid_argument,
                 "expected 4 windows of hidden size 8, got 4 of 6");
  EXPECT_FAILURE(open_as({{5, 1, 7}, 6}, kRun), StatusKind::invalid_argument, "expected 3 windows");
  EXPECT_FAILURE(open_as({{5, 0, 1, 7}, 6}, kRun), StatusKind::invalid_argument, "its windows have other lengths");
}

TEST_F(FinishedFile, RefusesEveryOtherLength) {
  const std::string whole = read_text(path_);
  ASSERT_EQ(static_cast<int64_t>(whole.size()), kDataBegin + kDataBytes);
  for (const size_t size :
       {size_t{0}, size_t{39}, size_t{40}, size_t{71}, size_t{72}, size_t{4096}, whole.size() - 1}) {
    write_text(path_, whole.substr(0, size));
    EXPECT_FAILURE(open_as(kShape, kRun), StatusKind::corruption, "got") << size;
  }
  write_text(path_, whole + "x");
  EXPECT_FAILURE(open_as(kShape, kRun), StatusKind::corruption, "expected 4408 bytes, got 4409");
  fs::remove(path_);
  EXPECT_FAILURE(open_as(kShape, kRun), StatusKind::not_found, "/h: cannot open");
}

TEST_F(FinishedFile, NoticesThatTheFileIsCutShortWhileItIsOpen) {
  auto states = open_as(kShape, kRun);
  ASSERT_OK(states);
  fs::resize_file(path_, kDataBegin + 8 * 24);  // windows 0 and 1, and two tokens of the last
  Matrix<float> first(5, 6), last(7, 6);
  EXPECT_OK(states->read(0, first.view()));
  EXPECT_FAILURE(states->read(3, last.view()), StatusKind::corruption, "/h: expected 168 bytes at 4240, got 48");
}

TEST(HiddenStates, FullDisk) {
  const TempDir dir;
  const HiddenStatesShape large{{100, 100}, 100};  // 40,000 bytes each
  auto states = HiddenStates::create_file(dir / "h", large, kRun);
  ASSERT_OK(states);
  const FileSizeLimit limit(50'000);
  EXPECT_FAILURE(HiddenStates::create_file(dir / "other", large, kRun), StatusKind::io,
                 "/other: cannot make room for 84096 bytes: File too large");
  EXPECT_OK(states->write(0, numbered(100, 100, 0).view()));
  EXPECT_FAILURE(states->write(1, numbered(100, 100, 0).view()), StatusKind::io,
                 "/h: cannot write: expected to write 40000 bytes at 44096, wrote 5904: File too large");
}

TEST(HiddenStates, NoticesThatTheFileWasRemoved) {
  const TempDir dir;
  auto states = HiddenStates::create_file(dir / "h", kShape, kRun);
  ASSERT_OK(states);
  fill(*states);
  fs::remove(dir / "h");
  EXPECT_FAILURE(states->finish(), StatusKind::io, "/h: the file was removed");
  EXPECT_FAILURE(HiddenStates::create_file(dir / "none/h", kShape, kRun), StatusKind::io, "/none/h: cannot create");
}

}  // namespace
}  // namespace esparse

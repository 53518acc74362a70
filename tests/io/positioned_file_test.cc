#include "io/positioned_file.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "io/safetensors_bytes.h"
#include "support/file_size_limit.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"
#include "support/unprivileged.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

TEST(PositionedFile, ReadsWhatWasWrittenWhere) {
  const TempDir dir;
  write_text(dir / "f", "what stood there before");
  auto file = PositionedFile::create(dir / "f");
  ASSERT_OK(file);
  ASSERT_OK(file->reserve(10));
  EXPECT_EQ(file->size().value(), 10);
  ASSERT_OK(file->write_at(6, to_bytes("xyz")));
  ASSERT_OK(file->write_at(0, to_bytes("abc")));
  ASSERT_OK(file->sync());
  EXPECT_EQ(read_text(dir / "f"), std::string("abc\0\0\0xyz\0", 10));
  std::vector<std::byte> part(4);
  const auto again = PositionedFile::open(dir / "f");
  ASSERT_OK(again);
  ASSERT_OK(again->read_at(5, part));
  EXPECT_EQ(part, to_bytes(std::string("\0xyz", 4)));
  ASSERT_OK(again->read_at(100, {}));
}

TEST(PositionedFile, TheEndIsNamedWithExpectedAndGot) {
  const TempDir dir;
  write_text(dir / "f", "0123456789");
  const auto file = PositionedFile::open(dir / "f");
  ASSERT_OK(file);
  std::vector<std::byte> part(8);
  EXPECT_FAILURE(file->read_at(4, part), StatusKind::corruption, "/f: expected 8 bytes at 4, got 6");
}

TEST(PositionedFile, FullDisk) {
  const TempDir dir;
  auto full = PositionedFile::create("/dev/full");
  ASSERT_OK(full);
  EXPECT_FAILURE(full->write_at(3, to_bytes("abc")), StatusKind::io,
                 "/dev/full: cannot write: expected to write 3 bytes at 3, wrote 0: No space left on device");
  auto file = PositionedFile::create(dir / "f");
  ASSERT_OK(file);
  const FileSizeLimit limit(50'000);
  EXPECT_FAILURE(file->reserve(60'000), StatusKind::io, "/f: cannot make room for 60000 bytes: File too large");
  EXPECT_FAILURE(file->write_at(49'000, std::vector<std::byte>(2000)), StatusKind::io,
                 "expected to write 2000 bytes at 49000, wrote 1000: File too large");
}

TEST(PositionedFile, Refusals) {
  const TempDir dir;
  EXPECT_FAILURE(PositionedFile::open(dir / "none"), StatusKind::not_found, "/none: cannot open");
  EXPECT_FAILURE(PositionedFile::create(dir / "none/f"), StatusKind::io, "cannot create");
  EXPECT_FALSE(PositionedFile::open(dir.path()).ok());
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_FAILURE(PositionedFile::open(dir / "pipe"), StatusKind::io, "expected a regular file");
  fs::permissions(dir.path(), fs::perms(0555));
  const Unprivileged scope;
  EXPECT_FAILURE(PositionedFile::create(dir / "f"), StatusKind::io, "Permission denied");
}

TEST(PositionedFile, NoticesThatItsFileWasRemoved) {
  const TempDir dir;
  auto file = PositionedFile::create(dir / "f");
  ASSERT_OK(file);
  fs::remove(dir / "f");
  EXPECT_FAILURE(file->sync(), StatusKind::io, "/f: the file was removed while it was in use");
}

}  // namespace
}  // namespace esparse

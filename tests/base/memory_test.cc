// Resident memory, and giving back the pages of mapped files.
#include "base/memory.h"

#include <unistd.h>

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "base/mmap.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

constexpr int64_t kMiB = 1 << 20;

// Reads every page, so that the kernel brings it in.
int64_t touch(std::span<const std::byte> bytes) {
  int64_t sum = 0;
  for (size_t at = 0; at < bytes.size(); at += 1024) sum += std::to_integer<int64_t>(bytes[at]);
  return sum;
}

std::string numbered_text(int64_t bytes) {
  std::string text(static_cast<size_t>(bytes), '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 + i / 4096);
  return text;
}

TEST(Memory, CurrentFollowsWhatIsHeldAndPeakStays) {
  const int64_t before = current_resident_bytes();
  ASSERT_GT(before, 0);
  {
    std::vector<std::byte> held(64 * kMiB);
    std::memset(held.data(), 1, held.size());
    EXPECT_GE(current_resident_bytes(), before + 60 * kMiB);
  }
  EXPECT_GE(peak_resident_bytes(), before + 60 * kMiB);
  EXPECT_GE(peak_resident_bytes(), current_resident_bytes());
}

TEST(Memory, PhysicalIsMoreThanThisProcessTakes) {
  EXPECT_GT(physical_memory_bytes(), current_resident_bytes());
  EXPECT_LE(physical_memory_bytes(), sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
}

TEST(ReleasePages, GivesMemoryBackAndReadsTheFileAgain) {
  const TempDir dir;
  const std::string text = numbered_text(64 * kMiB + 100);  // the last page is a partial one
  write_text(dir / "f", text);
  const auto file = MappedFile::open(dir / "f");
  ASSERT_OK(file);
  const int64_t before = current_resident_bytes();
  const int64_t sum = touch(file->bytes());
  ASSERT_GE(current_resident_bytes(), before + 60 * kMiB);
  file->release_pages(file->bytes());
  EXPECT_LE(current_resident_bytes(), before + 4 * kMiB);
  EXPECT_EQ(touch(file->bytes()), sum);
  EXPECT_EQ(std::memcmp(file->bytes().data(), text.data(), text.size()), 0);
}

TEST(ReleasePages, OfAPartLeavesTheRest) {
  const TempDir dir;
  write_text(dir / "f", numbered_text(64 * kMiB));
  const auto file = MappedFile::open(dir / "f");
  ASSERT_OK(file);
  EXPECT_NE(touch(file->bytes()), 0);
  const int64_t before = current_resident_bytes();
  file->release_pages(file->bytes().subspan(32 * kMiB + 1, 16 * kMiB));
  EXPECT_LE(current_resident_bytes(), before - 14 * kMiB);
  EXPECT_GE(current_resident_bytes(), before - 18 * kMiB);
}

TEST(ReleasePages, LeavesOtherMemoryAlone) {
  const TempDir dir;
  write_text(dir / "f", numbered_text(kMiB));
  const auto file = MappedFile::open(dir / "f");
  ASSERT_OK(file);
  std::vector<std::byte> own(4 * kMiB, std::byte{7});
  file->release_pages(own);
  file->release_pages({});
  MappedFile().release_pages(own);
  for (const std::byte value : own) ASSERT_EQ(value, std::byte{7});
}

}  // namespace
}  // namespace esparse

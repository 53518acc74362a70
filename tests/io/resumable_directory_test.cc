#include "io/resumable_directory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "support/status_testing.h"
#include "support/temp_dir.h"
#include "support/unprivileged.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

TEST(ResumableDirectory, AppearsAtCommit) {
  const TempDir dir;
  {
    auto output = ResumableDirectory::open((dir / "out").string() + "/", false);
    ASSERT_OK(output);
    EXPECT_EQ(output->working_path(), dir / ".out.esparse-partial");
    EXPECT_EQ(output->path(), dir / ".out.esparse-partial/output");
    EXPECT_FALSE(output->has_leftovers());
    write_text(output->path() / "sub/file", "x");
    write_text(output->working_path() / "scratch/file", "not part of it");
    EXPECT_FALSE(fs::exists(dir / "out"));
    ASSERT_OK(output->commit());
    EXPECT_EQ(read_text(dir / "out/sub/file"), "x");
    EXPECT_FAILURE(output->commit(), StatusKind::internal, "committed twice");
  }
  EXPECT_EQ(dir.entries(), Names{"out"});
  EXPECT_EQ(entries_of(dir / "out"), Names{"sub"});
}

TEST(ResumableDirectory, StaysWithoutCommitAndIsFoundAgain) {
  const TempDir dir;
  {
    auto output = ResumableDirectory::open(dir / "out", false);
    ASSERT_OK(output);
    write_text(output->path() / "half", "done");
    const ResumableDirectory moved = std::move(output).value();
  }
  EXPECT_EQ(dir.entries(), Names{".out.esparse-partial"});
  auto again = ResumableDirectory::open(dir / "out", false);
  ASSERT_OK(again);
  EXPECT_TRUE(again->has_leftovers());
  EXPECT_EQ(read_text(again->path() / "half"), "done");
  ASSERT_OK(again->commit());
  EXPECT_EQ(entries_of(dir / "out"), Names{"half"});
}

TEST(ResumableDirectory, AnEmptyOneIsRemoved) {
  const TempDir dir;
  { ASSERT_OK(ResumableDirectory::open(dir / "out", false)); }
  EXPECT_TRUE(dir.entries().empty());
}

TEST(ResumableDirectory, FindsWhatOnlyTheWorkNeeds) {
  const TempDir dir;
  {
    auto output = ResumableDirectory::open(dir / "out", false);
    ASSERT_OK(output);
    write_text(output->working_path() / "progress", "half");
  }
  auto again = ResumableDirectory::open(dir / "out", false);
  ASSERT_OK(again);
  EXPECT_TRUE(again->has_leftovers());
  EXPECT_EQ(read_text(again->working_path() / "progress"), "half");
}

// Killed between the two steps of commit(): the output stands, its scratch files are still there.
TEST(ResumableDirectory, WithoutItsOutputItWasCommitted) {
  const TempDir dir;
  write_text(dir / ".out.esparse-partial/progress", "all");
  write_text(dir / ".out.esparse-partial/scratch/file", "x");
  {
    auto again = ResumableDirectory::open(dir / "out", false);
    ASSERT_OK(again);
    EXPECT_FALSE(again->has_leftovers());
    EXPECT_EQ(entries_of(again->working_path()), Names{"output"});
  }
  EXPECT_TRUE(dir.entries().empty());
}

TEST(ResumableDirectory, ClearBeginsAnew) {
  const TempDir dir;
  write_text(dir / ".out.esparse-partial/output/sub/old", "old");
  write_text(dir / ".out.esparse-partial/output/older", "old");
  write_text(dir / ".out.esparse-partial/scratch", "old");
  auto output = ResumableDirectory::open(dir / "out", false);
  ASSERT_OK(output);
  EXPECT_TRUE(output->has_leftovers());
  ASSERT_OK(output->clear());
  EXPECT_FALSE(output->has_leftovers());
  EXPECT_TRUE(entries_of(output->path()).empty());
  EXPECT_EQ(entries_of(output->working_path()), Names{"output"});
}

TEST(ResumableDirectory, OneProcessAtATime) {
  const TempDir dir;
  {
    const auto first = ResumableDirectory::open(dir / "out", false);
    ASSERT_OK(first);
    write_text(first->path() / "half", "done");
    EXPECT_FAILURE(ResumableDirectory::open(dir / "out", false), StatusKind::invalid_argument,
                   "another process is working on it");
    EXPECT_OK(ResumableDirectory::open(dir / "other", false));
    EXPECT_TRUE(fs::exists(dir / ".out.esparse-lock")) << "the refused one removed the lock";
  }
  EXPECT_OK(ResumableDirectory::open(dir / "out", false));
}

// The lock ends with the process, and what it had written stays.
TEST(ResumableDirectory, GoesOnAfterAProcessThatWasKilled) {
  const TempDir dir;
  const pid_t child = fork();
  if (child == 0) {
    const auto output = ResumableDirectory::open(dir / "out", false);
    if (output.ok()) fs::create_directory(output->path() / "block-0");
    _exit(output.ok() ? 0 : 1);  // no destructor
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(dir.entries(), (Names{".out.esparse-lock", ".out.esparse-partial"}));
  {
    auto output = ResumableDirectory::open(dir / "out", false);
    ASSERT_OK(output);
    EXPECT_TRUE(output->has_leftovers());
    ASSERT_OK(output->commit());
  }
  EXPECT_EQ(dir.entries(), Names{"out"});
}

TEST(ResumableDirectory, ForceReplacesAtCommitOnly) {
  const TempDir dir;
  write_text(dir / "out/old", "old");
  EXPECT_FAILURE(ResumableDirectory::open(dir / "out", false), StatusKind::invalid_argument, "already exists");
  EXPECT_EQ(dir.entries(), Names{"out"});
  {
    auto output = ResumableDirectory::open(dir / "out", true);
    ASSERT_OK(output);
    write_text(output->path() / "new", "new");
    EXPECT_EQ(entries_of(dir / "out"), Names{"old"});
    ASSERT_OK(output->commit());
  }
  EXPECT_EQ(dir.entries(), Names{"out"});
  EXPECT_EQ(entries_of(dir / "out"), Names{"new"});
}

TEST(ResumableDirectory, DoesNotReplaceWhatAppearedMeanwhile) {
  const TempDir dir;
  {
    auto output = ResumableDirectory::open(dir / "out", false);
    ASSERT_OK(output);
    write_text(output->path() / "ours", "ours");
    write_text(dir / "out/theirs", "theirs");
    write_text(output->working_path() / "progress", "all");
    EXPECT_FAILURE(output->commit(), StatusKind::invalid_argument, "already exists");
  }
  EXPECT_EQ(dir.entries(), (Names{".out.esparse-partial", "out"}));
  EXPECT_EQ(entries_of(dir / ".out.esparse-partial"), (Names{"output", "progress"}));
  EXPECT_EQ(read_text(dir / "out/theirs"), "theirs");
}

TEST(ResumableDirectory, Refusals) {
  const TempDir dir;
  EXPECT_FAILURE(ResumableDirectory::open("..", true), StatusKind::invalid_argument, "expected the name");
  EXPECT_FAILURE(ResumableDirectory::open(dir / "none/out", false), StatusKind::not_found, "/none does not exist");
  write_text(dir / ".file.esparse-partial", "precious");
  EXPECT_FAILURE(ResumableDirectory::open(dir / "file", false), StatusKind::invalid_argument, "got something else");
  EXPECT_EQ(read_text(dir / ".file.esparse-partial"), "precious");
  fs::create_directory(dir / "elsewhere");
  fs::create_symlink("elsewhere", dir / ".link.esparse-partial");
  EXPECT_FAILURE(ResumableDirectory::open(dir / "link", false), StatusKind::invalid_argument, "got something else");
  fs::create_symlink("elsewhere/lock", dir / ".locked.esparse-lock");
  EXPECT_FAILURE(ResumableDirectory::open(dir / "locked", false), StatusKind::io,
                 "/locked: cannot open .locked.esparse-lock beside it");
  EXPECT_TRUE(fs::is_empty(dir / "elsewhere"));
  fs::permissions(dir.path(), fs::perms(0555));
  const Unprivileged scope;
  EXPECT_FAILURE(ResumableDirectory::open(dir / "out", false), StatusKind::io, "Permission denied");
}

TEST(ResumableDirectory, RefusesTheLeftoversOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  const TempDir dir;
  fs::create_directory(dir / ".out.esparse-partial");
  ASSERT_EQ(chown((dir / ".out.esparse-partial").c_str(), 65534, 65534), 0);
  EXPECT_FAILURE(ResumableDirectory::open(dir / "out", false), StatusKind::invalid_argument, "one of user id 65534");
}

}  // namespace
}  // namespace esparse

#include "io/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "support/status_testing.h"
#include "support/temp_dir.h"
#include "support/unprivileged.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

TEST(ReadFile, ReadsWholeFiles) {
  const TempDir dir;
  for (const size_t size : {0u, 1u, 65535u, 65536u, 65537u, 300000u}) {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7);
    write_text(dir / "f", text);
    const auto read = read_file(dir / "f");
    ASSERT_OK(read);
    EXPECT_TRUE(*read == text) << size;
  }
}

TEST(ReadFile, ReadsFilesWithoutSize) {
  const auto read = read_file("/proc/self/status");  // its size is given as 0
  ASSERT_OK(read);
  EXPECT_NE(read->find("Name:"), std::string::npos);
}

TEST(ReadFile, CapIsTheLargestSizeThatIsRead) {
  const TempDir dir;
  write_text(dir / "f", "12345");
  EXPECT_EQ(read_file(dir / "f", 5).value(), "12345");
  EXPECT_FAILURE(read_file(dir / "f", 4), StatusKind::invalid_argument, "expected at most 4 bytes, got 5");
  EXPECT_FAILURE(read_file("/proc/self/status", 10), StatusKind::invalid_argument,
                 "expected at most 10 bytes, got more");
}

TEST(ReadFile, Refusals) {
  const TempDir dir;
  EXPECT_FAILURE(read_file(dir / "none"), StatusKind::not_found, (dir / "none").string() + ": cannot open");
  EXPECT_FAILURE(read_file(dir.path()), StatusKind::io, "expected a file, got a directory");
  fs::permissions(dir.path(), fs::perms(0755));
  write_text(dir / "closed", "x");
  fs::permissions(dir / "closed", fs::perms(0));
  const Unprivileged scope;
  EXPECT_FAILURE(read_file(dir / "closed"), StatusKind::io, "Permission denied");
}

TEST(WriteFileAtomically, WritesAndReplaces) {
  const TempDir dir;
  ASSERT_OK(write_file_atomically(dir / "f", "one"));
  ASSERT_OK(write_file_atomically(dir / "f", "two"));
  EXPECT_EQ(read_text(dir / "f"), "two");
  EXPECT_EQ(dir.entries(), Names{"f"});
}

TEST(WriteFileAtomically, IsNotStoppedByALeftover) {
  const TempDir dir;
  write_text(dir / fmt::format(".f.tmp-{}", getpid()), "left by a crash");
  ASSERT_OK(write_file_atomically(dir / "f", "new"));
  EXPECT_EQ(read_text(dir / "f"), "new");
}

TEST(WriteFileAtomically, Refusals) {
  const TempDir dir;
  EXPECT_FAILURE(write_file_atomically(dir / "none/f", "x"), StatusKind::not_found, "/none does not exist");
  EXPECT_FAILURE(write_file_atomically(dir.path(), "x"), StatusKind::invalid_argument, "expected a regular file");
  // A pipe stands for devices: a test that fails as root must not replace one.
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_FAILURE(write_file_atomically(dir / "pipe", "x"), StatusKind::invalid_argument, "expected a regular file");
  EXPECT_FAILURE(write_file_atomically(dir / std::string(300, 'n'), "x"), StatusKind::io, "cannot create a file");
  fs::permissions(dir.path(), fs::perms(0555));
  const Unprivileged scope;
  EXPECT_FAILURE(write_file_atomically(dir / "f", "x"), StatusKind::io, "Permission denied");
}

TEST(OutputDirectory, AppearsAtCommit) {
  const TempDir dir;
  auto output = OutputDirectory::create(dir / "out", false);
  ASSERT_OK(output);
  write_text(output->path() / "sub/file", "x");
  EXPECT_FALSE(fs::exists(dir / "out"));
  ASSERT_OK(output->commit());
  EXPECT_EQ(dir.entries(), Names{"out"});
  EXPECT_EQ(read_text(dir / "out/sub/file"), "x");
  EXPECT_FAILURE(output->commit(), StatusKind::internal, "committed twice");
}

TEST(OutputDirectory, VanishesWithoutCommit) {
  const TempDir dir;
  {
    auto output = OutputDirectory::create(dir / "out", false);
    ASSERT_OK(output);
    write_text(output->path() / "sub/file", "x");
    const OutputDirectory moved = std::move(output).value();
    EXPECT_EQ(dir.entries().size(), 1u);
  }
  EXPECT_TRUE(dir.entries().empty());
}

TEST(OutputDirectory, AcceptsTrailingSlashAndRelativeNames) {
  const TempDir dir;
  auto output = OutputDirectory::create((dir / "out").string() + "/", false);
  ASSERT_OK(output);
  ASSERT_OK(output->commit());
  EXPECT_EQ(dir.entries(), Names{"out"});

  const fs::path before = fs::current_path();
  fs::current_path(dir.path());
  auto relative = OutputDirectory::create("second", false);
  const Status status = relative.ok() ? relative->commit() : relative.status();
  fs::current_path(before);
  EXPECT_OK(status);
  EXPECT_EQ(dir.entries(), (Names{"out", "second"}));
}

TEST(OutputDirectory, RefusesExistingWithoutForce) {
  const TempDir dir;
  fs::create_directory(dir / "out");
  EXPECT_FAILURE(OutputDirectory::create(dir / "out", false), StatusKind::invalid_argument, "already exists");
  EXPECT_EQ(dir.entries(), Names{"out"});
}

TEST(OutputDirectory, DoesNotReplaceWhatAppearedMeanwhile) {
  const TempDir dir;
  {
    auto output = OutputDirectory::create(dir / "out", false);
    ASSERT_OK(output);
    write_text(dir / "out/theirs", "theirs");
    EXPECT_FAILURE(output->commit(), StatusKind::invalid_argument, "already exists");
  }
  EXPECT_EQ(dir.entries(), Names{"out"});
  EXPECT_EQ(read_text(dir / "out/theirs"), "theirs");
}

TEST(OutputDirectory, ForceReplacesAtCommitOnly) {
  const TempDir dir;
  write_text(dir / "out/old", "old");
  {
    auto abandoned = OutputDirectory::create(dir / "out", true);
    ASSERT_OK(abandoned);
    write_text(abandoned->path() / "new", "new");
  }
  EXPECT_EQ(entries_of(dir / "out"), Names{"old"});
  auto output = OutputDirectory::create(dir / "out", true);
  ASSERT_OK(output);
  write_text(output->path() / "new", "new");
  ASSERT_OK(output->commit());
  EXPECT_EQ(dir.entries(), Names{"out"});
  EXPECT_EQ(entries_of(dir / "out"), Names{"new"});
}

TEST(OutputDirectory, ForceNeverReplacesFilesLinksOrTheWorkingDirectory) {
  const TempDir dir;
  write_text(dir / "file", "precious");
  EXPECT_FAILURE(OutputDirectory::create(dir / "file", true), StatusKind::invalid_argument, "expected a directory");
  fs::create_directory(dir / "real");
  fs::create_symlink("real", dir / "link");
  EXPECT_FAILURE(OutputDirectory::create(dir / "link", true), StatusKind::invalid_argument, "expected a directory");
  const fs::path before = fs::current_path();
  fs::create_directory(dir / "real/inner");
  fs::current_path(dir / "real/inner");
  const auto output = OutputDirectory::create(dir / "real", true);
  fs::current_path(before);
  EXPECT_FAILURE(output, StatusKind::invalid_argument, "the program runs in");
  EXPECT_EQ(dir.entries(), (Names{"file", "link", "real"}));
}

TEST(OutputDirectory, RefusesWhatIsNoNameAndMissingParents) {
  const TempDir dir;
  for (const char* path : {"", ".", "..", "/", "./"}) {
    EXPECT_FAILURE(OutputDirectory::create(path, true), StatusKind::invalid_argument,
                   "expected the name of a directory")
        << path;
  }
  EXPECT_FAILURE(OutputDirectory::create(dir / "none/out", false), StatusKind::not_found, "/none does not exist");
  write_text(dir / "file", "x");
  EXPECT_FALSE(OutputDirectory::create(dir / "file/out", false).ok());
  fs::permissions(dir.path(), fs::perms(0555));
  const Unprivileged scope;
  EXPECT_FAILURE(OutputDirectory::create(dir / "out", false), StatusKind::io, "Permission denied");
}

TEST(CopySideFiles, CopiesAllButWeightsHiddenFilesAndDirectories) {
  const TempDir dir;
  for (const char* name : {"config.json", "tokenizer.model", "LICENSE", "README.md", "model.safetensors",
                           "model.safetensors.index.json", "pytorch_model.bin", "a.pt", "a.pth", "a.gguf", "a.onnx",
                           "a.h5", "a.msgpack", ".gitattributes", "sub/file.txt"}) {
    write_text(dir / "from" / name, name);
  }
  fs::permissions(dir / "from/LICENSE", fs::perms(0444));
  write_text(dir / "blob", "linked");
  fs::create_symlink("../blob", dir / "from/tokenizer.json");
  fs::create_symlink("nowhere", dir / "from/dangling.json");
  write_text(dir / "to/config.json", "already written");
  ASSERT_OK(copy_side_files(dir / "from", dir / "to"));
  EXPECT_EQ(entries_of(dir / "to"),
            (Names{"LICENSE", "README.md", "config.json", "tokenizer.json", "tokenizer.model"}));
  EXPECT_EQ(read_text(dir / "to/config.json"), "already written");
  EXPECT_EQ(read_text(dir / "to/tokenizer.json"), "linked");
  EXPECT_FALSE(fs::is_symlink(dir / "to/tokenizer.json"));
  EXPECT_NE(fs::status(dir / "to/LICENSE").permissions() & fs::perms::owner_write, fs::perms::none);
}

TEST(CopySideFiles, Refusals) {
  const TempDir dir;
  EXPECT_FAILURE(copy_side_files(dir / "none", dir.path()), StatusKind::io, "cannot list");
  write_text(dir / "from/config.json", "{}");
  EXPECT_FAILURE(copy_side_files(dir / "from", dir / "none"), StatusKind::io, "cannot copy");
}

}  // namespace
}  // namespace esparse

// Runs of prune that end in the middle: what was finished stays, and --resume goes on to the very same bytes.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"
#include "cli/traced_run.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;

constexpr const char* kPartial = ".out.esparse-partial";
constexpr const char* kLock = ".out.esparse-lock";

std::string prune_line(const std::string& recipe, const std::string& more = "") {
  const std::string calib = recipe == "magnitude" ? "" : " --calib calib.txt --samples 2 --seqlen 24";
  return "prune model -o out --json --recipe " + recipe + calib + " " + more;
}

// Two blocks and grouped heads, with side files: the end of a run has several steps.
class ResumeTest : public testing::Test {
 protected:
  explicit ResumeTest(const std::string& golden = "llama2-gqa-untied") : workplace_(golden) {
    write_text(workplace_ / "model/README.md", "a model card\n");
  }

  Outcome run(const std::string& line, const RunOptions& options = {}) const {
    return run_line(workplace_.path(), line, options);
  }
  fs::path partial(std::string_view name) const { return workplace_ / kPartial / name; }
  bool has_finished_blocks() const { return fs::exists(partial("progress.json")); }

  // Everything but the lock, which a process that is killed leaves and the next one removes.
  Files files() const {
    Files all = workplace_.files();
    all.erase(kLock);
    return all;
  }

  // What the run gives that nothing interrupts, and the place as it was before.
  void learn_expected(const std::string& line) {
    expect_success(run(line));
    expected_ = workplace_.files();
    fs::remove_all(workplace_ / "out");
  }
  // Names and bytes of everything, so no leftovers either.
  void expect_expected() const { expect_same_files(expected_, workplace_.files()); }

  // Ends a run right behind its first finished block. False: tracing is forbidden here.
  bool interrupt(const std::string& line, int signal = SIGKILL) const {
    TracedRun traced(workplace_.path(), line);
    if (!traced.permitted()) return false;
    EXPECT_TRUE(traced.run_until([&] { return has_finished_blocks(); }));
    EXPECT_EQ(traced.end_with(signal).signal, signal);
    EXPECT_TRUE(fs::exists(workplace_ / kPartial));
    EXPECT_FALSE(fs::exists(workplace_ / "out"));
    return true;
  }

  const Workplace workplace_;
  Files expected_;
};

#define ESPARSE_INTERRUPT_OR_SKIP(...) \
  if (!interrupt(__VA_ARGS__)) GTEST_SKIP() << "ptrace is forbidden here"

class InterruptedRecipe : public ResumeTest, public testing::WithParamInterface<const char*> {};

ino_t inode_of(const fs::path& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_ino;
}

// Killed in front of its first change of files, then of its second, ... until it comes through.
TEST_P(InterruptedRecipe, KilledAnywhereGoesOnToTheSameBytes) {
  const std::string line = prune_line(GetParam(), "--resume");
  learn_expected(line);
  std::mt19937 random(7);
  int kills = 0;
  for (bool through = false; !through; ++kills) {
    SCOPED_TRACE(kills);
    for (const int changes : {kills, static_cast<int>(random() % 60)}) {  // the second one cuts the resumed run
      TracedRun traced(workplace_.path(), line);
      if (!traced.permitted()) GTEST_SKIP() << "ptrace is forbidden here";
      int left = changes;
      if (traced.run_until([&] { return left-- == 0; })) {
        EXPECT_EQ(traced.end_with(SIGKILL).signal, SIGKILL);
      } else {
        expect_success(traced.finish());
        through |= changes == kills;
        break;
      }
      if (fs::exists(workplace_ / "out")) break;  // its very last steps
    }
    // A finished block is taken over, not done again: a file that was written again would be another one.
    const fs::path shard = partial("output/model-00001-of-00003.safetensors");
    const ino_t finished = has_finished_blocks() && fs::exists(shard) ? inode_of(shard) : 0;
    if (fs::exists(workplace_ / "out")) {
      expect_refused(run(line), {"out: already exists"});
      fs::remove(workplace_ / kLock);  // killed in front of removing it
      fs::remove_all(workplace_ / kPartial);
    } else {
      expect_success(run(line));
    }
    if (finished != 0) {
      EXPECT_EQ(inode_of(workplace_ / "out/model-00001-of-00003.safetensors"), finished);
    }
    expect_expected();
    fs::remove_all(workplace_ / "out");
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(kills, 20) << "the test did not see what the run does";
}

INSTANTIATE_TEST_SUITE_P(Recipes, InterruptedRecipe,
                         testing::Values("best", "esparse", "owl-wanda", "magnitude", "spense"), [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Four blocks of the model that ships, two streams of hidden states; moments by the clock, spread over the whole run.
TEST(ShippedModel, KilledAtRandomMomentsGoesOnToTheSameBytes) {
  const TempDir directory;
  const std::string models = std::string(ESPARSE_SOURCE_DIR) + "/models/";
  const std::string line = "prune " + models + "novel-1m -o out --json --recipe best --samples 2 --seqlen 64 --calib " +
                           models + "text/calibration.txt --threads 2 ";
  const auto start = std::chrono::steady_clock::now();
  expect_success(run_line(directory.path(), line));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fs::rename(directory / "out", directory / "expected");
  std::mt19937 random(11);
  int kills = 0;
  while (kills < 10 || fs::exists(directory / kPartial)) {
    const double delay = seconds * (0.05 + 0.9 * static_cast<double>(random() % 1000) / 1000);
    const Running running = start_esparse(directory.path(), line_args(line + (kills < 30 ? "--resume" : "--force")));
    std::this_thread::sleep_for(std::chrono::duration<double>(kills < 30 ? delay : 30 * seconds));
    ::kill(running.pid, SIGKILL);
    const Outcome outcome = running.finish();
    kills += outcome.signal == SIGKILL;
    ASSERT_TRUE(outcome.signal == SIGKILL || outcome.exit_code == 0) << outcome.err;
    if (!fs::exists(directory / "out")) continue;
    ASSERT_EQ(entries_of(directory / "out"), entries_of(directory / "expected"));
    for (const std::string& name : entries_of(directory / "out"))
      EXPECT_TRUE(read_text(directory / "out" / name) == read_text(directory / "expected" / name)) << name;
    fs::remove_all(directory / "out");
  }
  fs::remove(directory / kLock);
  EXPECT_EQ(directory.entries(), std::vector<std::string>{"expected"});
}

TEST_F(ResumeTest, IsNeverAssumed) {
  const std::string line = prune_line("best");
  learn_expected(line);
  ESPARSE_INTERRUPT_OR_SKIP(line);
  const Files before = files();
  expect_refused(run(line), {kPartial, "interrupted run", "--resume", "--force"});
  expect_same_files(before, files());
  const fs::path shard = partial("output/model-00001-of-00003.safetensors");
  write_text(shard, read_text(shard).replace(fs::file_size(shard) - 4, 4, "kept"));
  expect_success(run(line + " --force"));  // starts over
  expect_expected();
}

TEST_F(ResumeTest, WithNothingToResumeBegins) {
  const std::string line = prune_line("wanda");
  learn_expected(line);
  expect_success(run(line + " --resume"));
  expect_expected();
  expect_refused(run(line + " --resume"), {"out: already exists", "--force"});
  expect_expected();
}

// With both options the finished blocks are kept and the old output goes at the end.
TEST_F(ResumeTest, WithForceReplacesTheOutputAtTheEnd) {
  const std::string line = prune_line("wanda", "--force");
  learn_expected(line);
  write_text(workplace_ / "out/mine.txt", "mine");
  {
    TracedRun traced(workplace_.path(), line);
    if (!traced.permitted()) GTEST_SKIP() << "ptrace is forbidden here";
    ASSERT_TRUE(traced.run_until([&] { return has_finished_blocks(); }));
    EXPECT_EQ(traced.end_with(SIGKILL).signal, SIGKILL);
  }
  EXPECT_EQ(entries_of(workplace_ / "out"), std::vector<std::string>{"mine.txt"});
  const ino_t finished = inode_of(partial("output/model-00001-of-00003.safetensors"));
  expect_success(run(line + " --resume"));
  EXPECT_EQ(inode_of(workplace_ / "out/model-00001-of-00003.safetensors"), finished);
  expect_expected();
}

TEST_F(ResumeTest, OfAnotherCommandIsRefusedAndLosesNothing) {
  const std::string line = prune_line("esparse");
  learn_expected(line);
  ESPARSE_INTERRUPT_OR_SKIP(line);
  fs::create_directory(workplace_ / "other");
  fs::copy(workplace_ / "model", workplace_ / "other");
  patch_f32(workplace_ / "other/model.safetensors", "model.layers.1.mlp.up_proj.weight", 3, 0.25f);
  const Files before = files();
  for (const std::string other : {"--recipe wanda", "--pattern 4:8", "--alpha 0.5", "--seed 1", "--samples 4",
                                  "--seqlen 23", "--calib eval.txt"}) {
    SCOPED_TRACE(other);
    // The last one counts.
    std::string changed = line + " --resume ";
    const std::string option = other.substr(0, other.find(' ') + 1);
    if (const size_t at = changed.find(option); at != std::string::npos)
      changed.erase(at, changed.find(' ', at + option.size()) - at);
    expect_refused(run(changed + " " + other),
                   {"cannot resume", "--force", "progress.json", "another model, recipe, calibration or device"});
    expect_same_files(before, files());
  }
  std::string changed = line + " --resume";
  expect_refused(run(changed.replace(changed.find("model"), 5, "other")),
                 {"another model, recipe, calibration or device"});
  expect_same_files(before, files());
  fs::remove_all(workplace_ / "other");
  expect_success(run(line + " --resume"));
  expect_expected();
}

struct Damage {
  const char* name;
  void (*damage)(const fs::path& partial);
  std::vector<std::string> texts;
};
void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

void cut(const fs::path& path, uintmax_t bytes) { fs::resize_file(path, fs::file_size(path) - bytes); }

const Damage kDamages[] = {
    {"HiddenStatesMissing",
     [](const fs::path& partial) { fs::remove(partial / "calibration/hidden-1.bin"); },
     {"calibration/hidden-1.bin: cannot open"}},
    {"HiddenStatesCutShort",
     [](const fs::path& partial) { cut(partial / "calibration/hidden-1.bin", 100); },
     {"calibration/hidden-1.bin: expected", "bytes, got"}},
    {"HiddenStatesEmpty",
     [](const fs::path& partial) { fs::resize_file(partial / "calibration/hidden-1.bin", 0); },
     {"calibration/hidden-1.bin: expected", "got 0"}},
    {"HiddenStatesOfTheDenseModelMissing",
     [](const fs::path& partial) { fs::remove(partial / "calibration/dense-hidden-1.bin"); },
     {"calibration/dense-hidden-1.bin: cannot open"}},
    {"HiddenStatesOfAnotherBlock",
     [](const fs::path& partial) {
       fs::copy_file(partial / "calibration/hidden-0.bin", partial / "calibration/hidden-1.bin",
                     fs::copy_options::overwrite_existing);
     },
     {"calibration/hidden-1.bin: expected the hidden states of run"}},
    {"ShardMissing",
     [](const fs::path& partial) { fs::remove(partial / "output/model-00001-of-00003.safetensors"); },
     {"model-00001-of-00003.safetensors", "No such file"}},
    {"ShardCutShort",
     [](const fs::path& partial) { cut(partial / "output/model-00001-of-00003.safetensors", 100); },
     {"model-00001-of-00003.safetensors", "cut short"}},
    {"ShardEmpty",
     [](const fs::path& partial) { fs::resize_file(partial / "output/model-00001-of-00003.safetensors", 0); },
     {"model-00001-of-00003.safetensors: expected at least 8 bytes"}},
    {"ProgressCutShort",
     [](const fs::path& partial) { cut(partial / "progress.json", 50); },
     {"progress.json: invalid JSON"}},
    {"ProgressEmpty",
     [](const fs::path& partial) { write_text(partial / "progress.json", ""); },
     {"progress.json: invalid JSON"}},
    {"ProgressIsAnArray",
     [](const fs::path& partial) { write_text(partial / "progress.json", "[1]"); },
     {"progress.json", "expected an object"}},
    {"ProgressOfMoreBlocks",
     [](const fs::path& partial) {
       replace_in_file(partial / "progress.json", "\"finished_blocks\": 1", "\"finished_blocks\": 9");
     },
     {"progress.json: finished_blocks: expected 1 to 2, got 9"}},
    {"ProgressOfTheNextBlock",
     [](const fs::path& partial) {
       replace_in_file(partial / "progress.json", "\"finished_blocks\": 1", "\"finished_blocks\": 2");
     },
     {"progress.json: linears: expected model.layers.1.self_attn.q_proj"}},
    {"ProgressOfOtherLinears",
     [](const fs::path& partial) { replace_in_file(partial / "progress.json", "layers.0.mlp.up_proj", "layers.0.up"); },
     {"progress.json: linears: expected model.layers.0.mlp.up_proj"}},
    {"ProgressWithoutAShape",
     [](const fs::path& partial) {
       std::string text = read_text(partial / "progress.json");
       for (size_t at = text.find("\"shape\""); at != std::string::npos; at = text.find("\"shape\""))
         text.replace(at, 7, "\"shope\"");
       write_text(partial / "progress.json", text);
     },
     {"progress.json: shape: expected two numbers"}},
};

class DamagedRun : public ResumeTest, public testing::WithParamInterface<Damage> {};

TEST_P(DamagedRun, IsRefusedByNameAndLosesNothing) {
  const std::string line = prune_line("best");
  ESPARSE_INTERRUPT_OR_SKIP(line);
  GetParam().damage(workplace_ / kPartial);
  const Files before = files();
  std::vector<std::string> texts = GetParam().texts;
  texts.insert(texts.end(), {"cannot resume", "--force starts over"});
  expect_refused(run(line + " --resume"), texts);
  expect_same_files(before, files());
  expect_success(run(line + " --force"));
}

INSTANTIATE_TEST_SUITE_P(All, DamagedRun, testing::ValuesIn(kDamages),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(ResumeTest, WithoutItsCalibrationTextIsRefusedAndLosesNothing) {
  const std::string line = prune_line("esparse");
  learn_expected(line);
  ESPARSE_INTERRUPT_OR_SKIP(line);
  fs::rename(workplace_ / "calib.txt", workplace_ / "moved.txt");
  const Files before = files();
  expect_refused(run(line + " --resume"), {"calib.txt: cannot open"});
  expect_same_files(before, files());
  fs::rename(workplace_ / "moved.txt", workplace_ / "calib.txt");
  expect_success(run(line + " --resume"));
  expect_expected();
}

// Blocks fit below the limit, the large side file at the end does not.
TEST_F(ResumeTest, AfterAFullDiskGoesOn) {
  write_text(workplace_ / "model/LICENSE", std::string(200'000, 'x'));
  const std::string line = prune_line("best");
  learn_expected(line);
  const RunOptions limited{.max_file_bytes = 100'000};
  expect_refused(run(line, limited), {"LICENSE: cannot copy"});
  EXPECT_FALSE(fs::exists(workplace_ / "out"));
  EXPECT_TRUE(has_finished_blocks());
  const ino_t finished = inode_of(partial("output/model-00002-of-00003.safetensors"));
  expect_refused(run(line + " --resume", limited), {"LICENSE: cannot copy"});
  expect_success(run(line + " --resume"));
  EXPECT_EQ(inode_of(workplace_ / "out/model-00002-of-00003.safetensors"), finished);
  expect_expected();
}

// The limit comes after the first block: neither hidden states nor a shard can be written.
TEST_F(ResumeTest, OnAFullDiskKeepsItsFinishedBlocks) {
  const std::string line = prune_line("best");
  learn_expected(line);
  ESPARSE_INTERRUPT_OR_SKIP(line);
  const RunOptions limited{.max_file_bytes = 3'000};
  expect_refused(run(line + " --resume", limited), {"File too large"});
  EXPECT_TRUE(has_finished_blocks());
  expect_success(run(line + " --resume"));
  expect_expected();
}

TEST_F(ResumeTest, IsForOneProcessAtATime) {
  const std::string line = prune_line("wanda");
  learn_expected(line);
  TracedRun first(workplace_.path(), line);
  if (!first.permitted()) GTEST_SKIP() << "ptrace is forbidden here";
  ASSERT_TRUE(first.run_until([&] { return has_finished_blocks(); }));
  const auto before = workplace_.files();
  for (const char* option : {"", "--resume", "--force"})
    expect_refused(run(prune_line("wanda", option)), {"out: another process is working on it"});
  expect_same_files(before, workplace_.files());
  expect_success(first.finish());
  expect_expected();
}

TEST_F(ResumeTest, GoesOnAfterControlC) {
  const std::string line = prune_line("best");
  learn_expected(line);
  ESPARSE_INTERRUPT_OR_SKIP(line, SIGINT);
  expect_success(run(line + " --resume"));
  expect_expected();
}

TEST_F(ResumeTest, MayHaveAnotherNumberOfThreadsAndMemoryBudget) {
  const std::string line = prune_line("sparsegpt");
  learn_expected(line);
  ESPARSE_INTERRUPT_OR_SKIP(line);
  expect_success(run(line + " --resume --threads 2 --memory-budget 16GiB"));
  expect_expected();
}

// What an output directory of that name holds is the user's.
TEST_F(ResumeTest, RefusesALinkInPlaceOfItsDirectory) {
  write_text(workplace_ / "elsewhere/mine.txt", "mine");
  fs::create_directory_symlink("elsewhere", workplace_ / kPartial);
  const Files before = files();
  expect_refused(run(prune_line("magnitude", "--force")), {kPartial, "expected the directory of an interrupted run"});
  expect_same_files(before, files());
}

}  // namespace
}  // namespace esparse

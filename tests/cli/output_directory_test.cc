// Where `prune -o` may write: the directory appears complete or not at all, and what was there is never half replaced.
#include <gtest/gtest.h>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"
#include "io/json.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrune = "prune model -o out --recipe magnitude --json";

// Of a model of two blocks with the side files `more`.
std::vector<std::string> output_of_two_blocks(std::vector<std::string> more = {}) {
  more.insert(more.end(), {"config.json", "esparse-figures.json", "esparse.json", "model-00001-of-00003.safetensors",
                           "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors",
                           "model.safetensors.index.json", "tokenizer.json"});
  std::sort(more.begin(), more.end());
  return more;
}

TEST(Output, HoldsTheModelAndItsSideFilesAndNothingElse) {
  const Workplace workplace("llama-sharded");
  write_text(workplace / "model/README.md", "a model card\n");
  write_text(workplace / "model/pytorch_model.bin", "weights of another kind");
  expect_success(run_line(workplace.path(), kPrune));
  EXPECT_EQ(entries_of(workplace / "out"), output_of_two_blocks({"README.md"}));
  for (const char* name : {"README.md", "tokenizer.json"})
    EXPECT_EQ(read_text(workplace / "out" / name), read_text(workplace / "model" / name)) << name;
  EXPECT_EQ(entries_of(workplace.path()), (std::vector<std::string>{"calib.txt", "eval.txt", "model", "out"}));
}

TEST(Output, HasThePicturesOfTheChosenLinear) {
  const Workplace workplace;
  const std::string chosen = "model.layers.0.self_attn.v_proj";
  const Outcome outcome =
      run_line(workplace.path(), "prune model -o out --recipe magnitude --html page.html --report-linear " + chosen);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(read_text(workplace / "out/esparse-figures.json")).at("linear"), chosen);
  EXPECT_NE(read_text(workplace / "page.html").find(chosen), std::string::npos);
}

TEST(Output, ThatExistsIsRefusedWithoutForceAndUntouched) {
  const Workplace workplace;
  write_text(workplace / "out/mine.txt", "mine");
  const auto before = workplace.files();
  expect_refused(run_line(workplace.path(), kPrune), {"out: already exists", "--force"});
  expect_same_files(before, workplace.files());
}

TEST(Output, ThatExistsIsReplacedWithForce) {
  const Workplace workplace;
  write_text(workplace / "out/mine.txt", "mine");
  expect_success(run_line(workplace.path(), std::string(kPrune) + " --force"));
  EXPECT_EQ(entries_of(workplace / "out"), output_of_two_blocks());
  EXPECT_EQ(entries_of(workplace.path()), (std::vector<std::string>{"calib.txt", "eval.txt", "model", "out"}));
}

TEST(Output, ThatHoldsWhatTheRunReadsIsRefusedEvenWithForce) {
  const Workplace workplace;
  const auto before = workplace.files();
  expect_refused(run_line(workplace.path(), "prune model -o model --saliency magnitude --force"),
                 {"-o: model holds model"});
  expect_refused(run_line(workplace.path(), "prune model -o model/../model --saliency magnitude --force"),
                 {"-o:", "holds model"});
  expect_refused(run_line(workplace.path(), "prune model -o . --saliency magnitude --force"), {"-o: . holds model"});
  expect_refused(run_line(workplace.path(), "prune model -o calib.txt --calib calib.txt --force"),
                 {"-o: calib.txt holds"});
  expect_same_files(before, workplace.files());
}

TEST(Output, ThatExistsSurvivesAForcedRunThatFails) {
  const Workplace workplace;
  write_text(workplace / "out/mine.txt", "mine");
  fs::remove(workplace / "model/tokenizer.json");
  const auto before = workplace.files();
  expect_refused(run_line(workplace.path(), std::string(kPrune) + " --force"), {"model: no tokenizer.json"});
  expect_same_files(before, workplace.files());
}

TEST(Output, ThatIsAFileIsNeverReplaced) {
  const Workplace workplace;
  write_text(workplace / "out", "mine");
  const auto before = workplace.files();
  expect_refused(run_line(workplace.path(), kPrune), {"out: already exists"});
  expect_refused(run_line(workplace.path(), std::string(kPrune) + " --force"),
                 {"out: expected a directory to replace"});
  expect_same_files(before, workplace.files());
}

TEST(Output, ThatIsALinkIsNeverReplaced) {
  const Workplace workplace;
  write_text(workplace / "elsewhere/mine.txt", "mine");
  fs::create_directory_symlink("elsewhere", workplace / "out");
  const auto before = workplace.files();
  expect_refused(run_line(workplace.path(), std::string(kPrune) + " --force"),
                 {"out: expected a directory to replace"});
  EXPECT_TRUE(fs::is_symlink(workplace / "out"));
  expect_same_files(before, workplace.files());
}

TEST(Output, WithoutParentIsRefused) {
  const Workplace workplace;
  const auto before = workplace.files();
  expect_refused(run_line(workplace.path(), "prune model -o nowhere/out --saliency magnitude"),
                 {"nowhere/out", "the parent directory nowhere does not exist"});
  expect_refused(run_line(workplace.path(), "prune model -o calib.txt/out --saliency magnitude"),
                 {"calib.txt/out", "the parent calib.txt is not a directory"});
  expect_same_files(before, workplace.files());
}

TEST(Output, InADirectoryThatCannotBeWrittenIsRefused) {
  const Workplace workplace;
  RunOptions options;
  options.as_nobody = geteuid() == 0;
  fs::create_directory(workplace / "sealed");
  const auto readable = fs::perms::others_read | fs::perms::others_exec;
  fs::permissions(workplace.path(), readable, fs::perm_options::add);
  fs::permissions(workplace / "sealed", readable | fs::perms::owner_read | fs::perms::owner_exec);
  const Outcome outcome = run_line(workplace.path(), "prune model -o sealed/out --saliency magnitude", options);
  if (outcome.exit_code == kCannotStart) GTEST_SKIP() << "another user cannot run " << ESPARSE_BINARY;
  expect_refused(outcome, {"sealed/out", "Permission denied"});
  EXPECT_TRUE(entries_of(workplace / "sealed").empty());
}

// The limit lets the small files through and stops the weights, as a disk does that fills up meanwhile.
TEST(FullDisk, WhileWritingTheWeightsLeavesNothing) {
  const Workplace workplace;
  ASSERT_GT(fs::file_size(workplace / "model/model.safetensors"), 40'000u);
  const RunOptions limited{.max_file_bytes = 10'000};
  const auto before = workplace.files();
  expect_refused(run_line(workplace.path(), kPrune, limited),
                 {"model-00001-of-00003.safetensors: cannot write", "File too large"});
  expect_same_files(before, workplace.files());
}

// Hidden states are the first that is written; they say at once when they do not fit.
TEST(FullDisk, WithoutRoomForHiddenStatesLeavesNothing) {
  const Workplace workplace;
  const RunOptions limited{.max_file_bytes = 10'000};
  const auto before = workplace.files();
  expect_refused(
      run_line(workplace.path(), "prune model -o out --recipe wanda --calib calib.txt --samples 8 --seqlen 64 --json",
               limited),
      {"hidden-0.bin: cannot make room", "File too large"});
  expect_same_files(before, workplace.files());
}

// The blocks are finished by then, so they stay for --resume (resume_test.cc).
TEST(FullDisk, WhileCopyingASideFileLeavesFinishedBlocksAlone) {
  const Workplace workplace;
  write_text(workplace / "model/LICENSE", std::string(200'000, 'x'));
  const RunOptions limited{.max_file_bytes = 100'000};
  expect_refused(run_line(workplace.path(), kPrune, limited), {"model/LICENSE: cannot copy"});
  EXPECT_EQ(entries_of(workplace.path()),
            (std::vector<std::string>{".out.esparse-partial", "calib.txt", "eval.txt", "model"}));
}

TEST(FullDisk, LeavesTheDirectoryThatWasToBeReplaced) {
  const Workplace workplace;
  write_text(workplace / "out/mine.txt", "mine");
  const RunOptions limited{.max_file_bytes = 10'000};
  const auto before = workplace.files();
  expect_refused(run_line(workplace.path(), std::string(kPrune) + " --force", limited),
                 {"model-00001-of-00003.safetensors: cannot write"});
  expect_same_files(before, workplace.files());
}

TEST(PrunedModel, IsNotPrunedAgain) {
  const Workplace workplace;
  expect_success(run_line(workplace.path(), "prune model -o packed --saliency magnitude --shuffle none --json"));
  expect_success(run_line(workplace.path(), "prune model -o shuffled --saliency magnitude --json"));
  const auto before = workplace.files();
  expect_refused(run_line(workplace.path(), "prune packed -o out --saliency magnitude"),
                 {"model.layers.0.self_attn.q_proj", "packed already"});
  expect_refused(run_line(workplace.path(), "prune shuffled -o out --saliency magnitude"),
                 {"model.layers.0", "shuffled already"});
  expect_same_files(before, workplace.files());
}

// Linux names are bytes; JSON is UTF-8. The report must not fail after the work is done.
TEST(Output, MayHaveANameThatIsNoUtf8) {
  const Workplace workplace;
  const Outcome outcome = run_esparse(
      workplace.path(), {"prune", "model", "-o", "out\xff", "--saliency", "magnitude", "--json", "--threads", "1"});
  expect_success(outcome);
  EXPECT_NE(outcome.out.find("\"output\":\"out\xef\xbf\xbd\""), std::string::npos) << outcome.out;
  EXPECT_TRUE(fs::exists(workplace / "out\xff" / "model.safetensors.index.json"));
}

}  // namespace
}  // namespace esparse

// esparse prune --budget on the finished program: what is written when a budget is kept and when it is not, refusals,
// runs that are interrupted, and the text it measures on.
#include <gtest/gtest.h>

#include "cli/prune_budget.h"
#include "cli/run_binary.h"
#include "cli/tiny_model.h"
#include "cli/traced_run.h"
#include "io/json.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

const std::string kLine =
    "prune model -o out --recipe sparsegpt --calib calib.txt --samples 2 --seqlen 24 --candidates 6:8,2:4,spense:1/4 ";

TEST(BudgetCommand, WritesTheModelThatKeepsIt) {
  const Workplace workplace("llama2-gqa-untied");
  const Outcome outcome = run_line(workplace.path(), kLine + "--budget bytes<=0.8x");
  expect_success(outcome);
  for (const char* part : {"uniform 2:4", "uniform spense:0.25", "<- chosen", "kept: bytes 0."})
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  const auto report = read_json(workplace / "out/esparse.json").value();
  EXPECT_EQ(report.at("budget").at("budget"), "bytes<=0.8x");
  EXPECT_EQ(report.at("budget").at("met"), true);
  EXPECT_EQ(entries_of(workplace.path()), (std::vector<std::string>{"calib.txt", "eval.txt", "model", "out"}));
  expect_success(run_line(workplace.path(), "eval out --text eval.txt --context 24"));
  int64_t before = 0, after = 0;
  for (const auto& entry : fs::directory_iterator(workplace / "model"))
    before += entry.path().extension() == ".safetensors" ? entry.file_size() : 0;
  for (const auto& entry : fs::directory_iterator(workplace / "out"))
    after += entry.path().extension() == ".safetensors" ? entry.file_size() : 0;
  EXPECT_LT(after, before);
}

TEST(BudgetCommand, WritesNothingThatDoesNotKeepItUnlessAsked) {
  const Workplace workplace("llama2-gqa-untied");
  const auto before = workplace.files();
  const std::string line = kLine + "--attempts 1 --budget bytes<=0.1x";
  const Outcome refused = run_line(workplace.path(), line);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.out.find("<- closest"), std::string::npos) << refused.out;
  for (const char* part :
       {"esparse: --budget: bytes<=0.1x cannot be kept", "closest model: bytes 0.", "--write-closest"})
    EXPECT_NE(refused.err.find(part), std::string::npos) << part << "\n" << refused.err;
  expect_same_files(before, workplace.files());
  expect_success(run_line(workplace.path(), line + " --write-closest"));
  const auto report = read_json(workplace / "out/esparse.json").value();
  EXPECT_EQ(report.at("budget").at("met"), false);
}

TEST(BudgetCommand, RefusesBeforeAnyWork) {
  const Workplace workplace("llama2-gqa-untied");
  write_text(workplace / "mixed.yaml",
             "saliency: wanda\npattern: 2:4\nlayers:\n  - match: '*.up_proj'\n    spense_mode: per-matrix\n");
  const auto before = workplace.files();
  const std::pair<const char*, std::vector<std::string>> kCases[] = {
      {"--budget ppl<=3%", {"--budget: \"ppl<=3%\"", "ppl<=+3%", "bytes<=0.7x"}},
      {"--budget speedup>=0.9", {"--budget: \"speedup>=0.9\"", "above 1"}},
      {"--budget kl<=1 --budget kl<=2", {"--budget: \"kl<=2\"", "limited already"}},
      {"--budget kl<=1 --candidates 2:4,50%", {"--candidates: \"50%\"", "expected N:M or spense"}},
      {"--budget kl<=1 --candidates 2:4,2:4", {"--candidates: 2:4 stands there twice"}},
      {"--budget kl<=1 --candidates 5:4", {"--candidates: ", "5:4"}},
      {"--budget kl<=1 --objective joy", {"--objective: expected bytes or time", "\"joy\""}},
      {"--budget kl<=1 --pattern 2:4", {"--pattern: a budget search chooses"}},
      {"--budget kl<=1 --held-out nowhere.txt", {"nowhere.txt", "No such file"}},
      {"--budget kl<=1 --allocation owl", {"--budget: the search decides how much each block gives"}},
  };
  for (const auto& [options, parts] : kCases) {
    SCOPED_TRACE(options);
    expect_refused(run_line(workplace.path(), kLine.substr(0, kLine.find("--candidates")) + options), parts);
    expect_same_files(before, workplace.files());
  }
  expect_refused(run_line(workplace.path(), "prune model -o out --recipe magnitude --budget kl<=1"),
                 {"--calib: a budget search needs a calibration text"});
  expect_refused(
      run_line(workplace.path(),
               "prune model -o out --recipe mixed.yaml --calib calib.txt --budget kl<=1 --candidates spense:1/2"),
      {"--candidates: spense:0.5: ", "spense_mode"});
  const std::string plain = "prune model -o out --recipe magnitude ";
  expect_usage_error(run_line(workplace.path(), plain + "--candidates 2:4"), {"--candidates requires --budget"});
  expect_usage_error(run_line(workplace.path(), plain + "--write-closest"), {"--write-closest requires --budget"});
  expect_usage_error(run_line(workplace.path(), plain + "--budget kl<=1 --html x.html"), {"--html", "--budget"});
  expect_usage_error(run_line(workplace.path(), plain + "--budget kl<=1 --memory-budget 1GiB"), {"--memory-budget"});
  write_text(workplace / "empty.txt", "a");
  expect_refused(run_line(workplace.path(), kLine + "--budget kl<=1 --held-out empty.txt"),
                 {"empty.txt: the held-out text has 1 tokens, at least 2"});
}

// Killed in front of its first change of files, of its second, ... and resumed: the same bytes in the end.
TEST(BudgetCommand, KilledAnywhereGoesOnToTheSameBytes) {
  const std::string line = kLine + "--budget bytes<=0.8x --json --resume";
  const Workplace workplace("llama2-gqa-untied");
  const auto before = workplace.files();
  expect_success(run_line(workplace.path(), line));
  const auto expected = workplace.files();
  fs::remove_all(workplace / "out");
  int kills = 0, step = 1;
  for (bool through = false; !through; kills += step, step = 1 + kills / 10) {
    SCOPED_TRACE(kills);
    TracedRun traced(workplace.path(), line);
    if (!traced.permitted()) GTEST_SKIP() << "ptrace is forbidden here";
    int left = kills;
    if (traced.run_until([&] { return left-- == 0; })) {
      EXPECT_EQ(traced.end_with(SIGKILL).signal, SIGKILL);
      if (!fs::exists(workplace / "out")) expect_success(run_line(workplace.path(), line));
      fs::remove(workplace / ".out.esparse-lock");
      fs::remove_all(workplace / ".out.esparse-partial");  // killed behind the rename, in front of clearing up
    } else {
      expect_success(traced.finish());
      through = true;
    }
    expect_same_files(expected, workplace.files());
    fs::remove_all(workplace / "out");
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(kills, 20) << "the test did not see what the run does";
}

TEST(BudgetCommand, InterruptedSearchIsNeverAssumed) {
  const std::string line = kLine + "--budget bytes<=0.8x";
  const Workplace workplace("llama2-gqa-untied");
  {
    TracedRun traced(workplace.path(), line);
    if (!traced.permitted()) GTEST_SKIP() << "ptrace is forbidden here";
    ASSERT_TRUE(traced.run_until([&] { return fs::exists(workplace / ".out.esparse-partial/search/search.json"); }));
    EXPECT_EQ(traced.end_with(SIGKILL).signal, SIGKILL);
  }
  expect_refused(run_line(workplace.path(), line), {"interrupted search", "--resume", "--force"});
  expect_refused(run_line(workplace.path(), line + " --resume --damping 0.5"), {"repeat its command line"});
  expect_refused(run_line(workplace.path(), kLine + "--budget speedup>=1.1 --resume"), {"repeat its command line"});
  expect_refused(run_line(workplace.path(), "prune model -o out --recipe magnitude --resume"), {"interrupted search"});
  expect_success(run_line(workplace.path(), line + " --resume"));
}

TEST(HeldOutText, IsTheEndOfTheCalibrationText) {
  std::vector<std::string> documents = {"one\ntwo\nthree\nfour\n"};  // three quarters are 14 of 19
  EXPECT_EQ(split_held_out(documents), std::vector<std::string>{"four\n"});
  EXPECT_EQ(documents, std::vector<std::string>{"one\ntwo\nthree\n"});
  documents = {"a", "b", "c", "d", "e"};
  EXPECT_EQ(split_held_out(documents), (std::vector<std::string>{"d", "e"}));
  EXPECT_EQ(documents, (std::vector<std::string>{"a", "b", "c"}));
  documents = {"no line ends here\n"};
  EXPECT_EQ(split_held_out(documents), std::vector<std::string>{"here\n"});
  documents = {"wordbyword"};
  EXPECT_EQ(split_held_out(documents), std::vector<std::string>{"word"});
  documents = {"aaaaa\xE2\x82\xAC\xE2\x82\xAC"};  // two signs of three bytes; three quarters end within the first
  EXPECT_EQ(split_held_out(documents), std::vector<std::string>{"\xE2\x82\xAC"});
}

}  // namespace
}  // namespace esparse

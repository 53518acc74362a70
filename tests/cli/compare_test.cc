// esparse compare: what is measured, what is kept for the next run, what is refused.
#include <gtest/gtest.h>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"
#include "cli/traced_run.h"
#include "io/json.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

const std::string kLine =
    "compare model --recipes magnitude,wanda --calib calib.txt --samples 2 --seqlen 24 --text eval.txt --context 32 "
    "--default-plan --repetitions 1 --prompt-tokens 8 --gen-tokens 2";

Json parsed(const std::string& text) {
  auto json = parse_json(text, "standard output");
  EXPECT_TRUE(json.ok()) << text;
  return json.ok() ? std::move(json).value() : Json();
}

class Compare : public testing::Test {
 protected:
  Json run(const std::string& line) const {
    const Outcome outcome = run_line(workplace_.path(), line + " --json");
    expect_success(outcome);
    return parsed(outcome.out);
  }
  Json eval(const std::string& line) const { return run("eval " + line + " --text eval.txt --context 32"); }
  std::vector<std::string> steps(const std::string& line) const {  // what it says it does
    const Outcome outcome = run_line(workplace_.path(), line);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    std::vector<std::string> lines;
    std::istringstream stream(outcome.err);
    for (std::string text; std::getline(stream, text);) lines.push_back(text);
    return lines;
  }
  const Workplace workplace_;
};

// The figures are those that `prune` and `eval` give one by one.
TEST_F(Compare, GivesWhatTheCommandsGiveOneByOne) {
  const Json result = run(kLine);
  EXPECT_EQ(result.at("complete"), true);
  ASSERT_EQ(result.at("models").size(), 3u);
  const Json& dense = result.at("models").at(0);
  EXPECT_EQ(dense.at("name"), "dense");
  EXPECT_EQ(dense.at("nll").at("value"), eval("model").at("nll"));
  EXPECT_LE(result.at("models").at(1).at("nats_more").at("value"),
            result.at("models").at(2).at("nats_more").at("value"));
  for (int i : {1, 2}) {
    const Json& model = result.at("models").at(i);
    const std::string directory = model.at("directory"), recipe = model.at("recipe");
    EXPECT_EQ(model.at("name"), recipe + " 2:4");
    expect_success(run_line(workplace_.path(), "prune model -o " + recipe + " --json --recipe " + recipe +
                                                   " --calib calib.txt --samples 2 --seqlen 24"));
    for (const std::string& file : entries_of(workplace_ / recipe))
      EXPECT_TRUE(read_text(workplace_ / recipe / file) == read_text(workplace_ / directory / file)) << file;
    const Json alone = eval(directory + " --against model");
    EXPECT_EQ(model.at("nll").at("value"), alone.at("nll"));
    EXPECT_EQ(model.at("kl").at("value"), alone.at("against").at("kl"));
    EXPECT_EQ(model.at("same_top"), alone.at("against").at("same_top"));
    EXPECT_LT(model.at("linear_bytes"), dense.at("linear_bytes"));
    EXPECT_GT(model.at("decode_speedup").get<double>(), 0);
    EXPECT_GT(model.at("prune_seconds").get<double>(), 0);
  }
}

TEST_F(Compare, ASecondRunDoesOnlyWhatIsNew) {
  EXPECT_EQ(steps(kLine).size(), 1u + 2 * 3) << "dense: perplexity; the others: pruning, perplexity, speed";
  const auto before = workplace_.files();
  EXPECT_EQ(steps(kLine), std::vector<std::string>());
  expect_same_files(before, workplace_.files());
  std::string more = kLine;
  more.replace(more.find("magnitude,wanda"), 15, "magnitude,wanda,ria");
  EXPECT_EQ(steps(more), (std::vector<std::string>{"ria 2:4: pruning", "ria 2:4: perplexity",
                                                   "ria 2:4: speed, in turns with the dense model"}));
  EXPECT_EQ(steps(kLine + " --max-windows 2 --no-speed").size(), 3u) << "another text: perplexity of all three";
  EXPECT_EQ(steps(kLine + " --patterns 2:4,4:8").size(), 2u * 3);
  EXPECT_EQ(steps(kLine + " --seed 1 --no-speed"),
            (std::vector<std::string>{"wanda 2:4: pruning", "wanda 2:4: perplexity"}))
      << "magnitude looks at no calibration text";
  write_text(workplace_ / "eval.txt", random_letters(200, 7));
  EXPECT_EQ(steps(kLine).size(), 3u) << "the text has changed";
}

TEST_F(Compare, DamagedResultsAreMadeAgain) {
  const Json first = run(kLine + " --no-speed");
  for (const auto& entry : fs::directory_iterator(workplace_ / "compare-model/results")) {
    std::string text = read_text(entry.path());
    write_text(entry.path(), text.substr(0, text.size() / 2));
  }
  const Json second = run(kLine + " --no-speed");
  EXPECT_EQ(first.at("models").at(0), second.at("models").at(0));
  EXPECT_EQ(first.at("models").at(1).at("kl"), second.at("models").at(1).at("kl"));
}

TEST_F(Compare, GoesOnWithAnInterruptedPruning) {
  const std::string line = kLine + " --no-speed --work w";
  TracedRun traced(workplace_.path(), line);
  if (!traced.permitted()) GTEST_SKIP() << "tracing is forbidden here";
  const auto finished_block = [&] {
    for (const auto& entry : fs::directory_iterator(workplace_ / "w"))
      if (fs::exists(entry.path() / "progress.json")) return true;
    return false;
  };
  EXPECT_TRUE(traced.run_until([&] { return fs::exists(workplace_ / "w") && finished_block(); }));
  traced.end_with(SIGKILL);
  const std::vector<std::string> done = steps(line);
  ASSERT_FALSE(done.empty());
  EXPECT_EQ(done.front(), "magnitude 2:4: going on with an interrupted pruning");
  EXPECT_EQ(steps(line), std::vector<std::string>());
}

TEST_F(Compare, TableTasksAndPage) {
  write_text(workplace_ / "piqa.jsonl", "{\"goal\": \"abc\", \"sol1\": \"def\", \"sol2\": \"ghij\", \"label\": 0}\n");
  const Outcome outcome = run_line(workplace_.path(), kLine + " --tasks piqa.jsonl --html page.html");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* text : {"dense", "magnitude 2:4", "nats more", "linears, B", "PIQA, % acc_norm", "eval.txt (sha256 ",
                           "windows side by side", "2 windows of 24 tokens, seed 0"})
    EXPECT_NE(outcome.out.find(text), std::string::npos) << text << " is not in\n" << outcome.out;
  const std::string page = read_text(workplace_ / "page.html");
  for (const char* text : {"Accuracy against size", "Accuracy against speed", "Retained saliency",
                           "Time to prune every linear", "report-data"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
}

TEST_F(Compare, RefusalsLeaveNothing) {
  write_text(workplace_ / "piqa.jsonl", "{\"goal\": \"abc\"}\n");
  const std::string line = "compare model --text eval.txt --calib calib.txt --context 32 ";
  const auto before = workplace_.files();
  const auto refused = [&](const std::string& more, const std::vector<std::string>& texts) {
    SCOPED_TRACE(more);
    expect_refused(run_line(workplace_.path(), line + more), texts);
    expect_same_files(before, workplace_.files());
  };
  refused("--recipes magnitude,wandaa", {"recipe \"wandaa\"", "did you mean wanda?"});
  refused("--recipes wanda,wanda", {"--recipes", "wanda 2:4 twice"});
  refused("--recipes wanda --patterns 2:4,5:4", {"--patterns", "\"5:4\""});
  refused("--recipes esparse --patterns 50%", {"esparse 50%", "shuffle"});
  refused("--recipes wanda --seqlen 500", {"--seqlen", "128 positions", "got 500"});
  refused("--recipes wanda --prompt-tokens 128", {"--prompt-tokens, --gen-tokens", "128 positions", "128 and 32"});
  refused("--recipes wanda --tasks piqa.jsonl", {"piqa.jsonl", "sol1"});
  refused("--recipes wanda --limit 3", {"--limit: needs --tasks"});
  refused("--recipes wanda --work eval.txt", {"--work", "eval.txt"});
  refused("--recipes wanda --work no/such/place", {"--work", "no/such/place"});
  expect_refused(run_line(workplace_.path(), "compare model --recipes wanda --text eval.txt"), {"--calib"});
  expect_same_files(before, workplace_.files());
  expect_usage_error(run_line(workplace_.path(), "compare model --recipes wanda"), {"--text is required"});
  expect_usage_error(run_line(workplace_.path(), "compare model --text eval.txt"), {"--recipes is required"});
}

}  // namespace
}  // namespace esparse

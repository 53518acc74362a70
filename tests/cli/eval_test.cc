// esparse eval: options of the text, the comparison with a dense model, tasks, interruption.
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <thread>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"
#include "io/json.h"

namespace esparse {
namespace {

class Eval : public testing::Test {
 protected:
  Json run(const std::string& options) const {
    const Outcome outcome = run_line(workplace_.path(), "eval " + options + " --json");
    expect_success(outcome);
    auto parsed = parse_json(outcome.out, "standard output");
    EXPECT_TRUE(parsed.ok()) << outcome.out;
    return parsed.ok() ? std::move(parsed).value() : Json();
  }
  void prune() const { expect_success(run_line(workplace_.path(), "prune model -o sparse --recipe magnitude --json")); }
  const Workplace workplace_;
};

TEST_F(Eval, WindowsOfText) {
  EXPECT_EQ(run("model --text eval.txt --context 32 --max-windows 2").at("windows"), 2);
  EXPECT_EQ(run("model --text eval.txt").at("context"), 128) << "all positions that the model has";
  const Json sliding = run("model --text eval.txt --context 32 --stride 8");
  EXPECT_EQ(sliding.at("tokens"), 199) << "every letter but the first";
  EXPECT_EQ(sliding.at("text").at("stride"), 8);
  write_text(workplace_ / "short.txt", "abcde");
  EXPECT_EQ(run("model --text short.txt").at("tokens"), 4) << "a text below one window is one window";
  write_text(workplace_ / "two.jsonl", "{\"text\": \"abcde\"}\n{\"text\": \"fgh\"}\n");
  EXPECT_EQ(run("model --text two.jsonl --join separate").at("tokens"), 4 + 2);
  EXPECT_EQ(run("model --text two.jsonl --join space").at("tokens"), 8);
}

TEST_F(Eval, AgainstTheDenseModelAndItsLogits) {
  prune();
  const std::string text = " --text eval.txt --context 32";
  const Json dense = run("model" + text);
  const Json live = run("sparse" + text + " --against model").at("against");
  EXPECT_GT(live.at("kl").get<double>(), 0);
  EXPECT_GE(live.at("kl_p99").get<double>(), live.at("kl").get<double>());
  EXPECT_LT(live.at("same_top").get<double>(), 1);
  EXPECT_NEAR(live.at("reference_nll").get<double>(), dense.at("nll").get<double>(), 1e-12);
  EXPECT_EQ(run("model" + text + " --against model").at("against").at("kl"), 0);

  const Outcome saved = run_line(workplace_.path(), "eval model --save-logits dense.safetensors" + text);
  EXPECT_EQ(saved.exit_code, 0) << saved.err;
  EXPECT_NE(saved.err.find("KiB of predictions"), std::string::npos) << saved.err;
  const Json stored = run("sparse" + text + " --against dense.safetensors").at("against");
  for (const char* key : {"kl", "same_top", "perplexity_ratio", "perplexity_ratio_stderr"})
    EXPECT_NEAR(stored.at(key).get<double>(), live.at(key).get<double>(), 2e-3 * live.at(key).get<double>()) << key;
  expect_refused(run_line(workplace_.path(), "eval sparse --against dense.safetensors --text eval.txt --context 16"),
                 {"dense.safetensors: context: this run has 16, the file was written with 32"});
  expect_refused(run_line(workplace_.path(), "eval sparse --against dense.safetensors --text calib.txt --context 32"),
                 {"dense.safetensors: text_sha256"});
}

TEST_F(Eval, TasksInBothLayouts) {
  write_text(workplace_ / "piqa.jsonl",
             "{\"goal\": \"abc\", \"sol1\": \"def\", \"sol2\": \"ghij\", \"label\": 0}\n"
             "{\"goal\": \"cba\", \"sol1\": \"x\", \"sol2\": \"yz\", \"label\": 1}\n");
  write_text(workplace_ / "same.jsonl",
             "{\"query\": \"Question: abc\", \"choices\": [\"def\", \"ghij\"], \"gold\": 0}\n"
             "{\"query\": \"Question: cba\\n\", \"choices\": [\"x\", \"yz\"], \"gold\": 1}\n");
  const Json first = run("model --tasks piqa.jsonl --items a.jsonl").at("tasks").at(0);
  const Json second = run("model --tasks piqa=same.jsonl --items b.jsonl").at("tasks").at(0);
  EXPECT_EQ(first.at("items"), 2);
  EXPECT_EQ(first.at("acc"), second.at("acc"));
  EXPECT_EQ(read_text(workplace_ / "a.jsonl"), read_text(workplace_ / "b.jsonl"));
  const std::string line = read_text(workplace_ / "a.jsonl");
  const auto item = parse_json(line.substr(0, line.find('\n')), "item");
  ASSERT_TRUE(item.ok());
  EXPECT_EQ(item->at("log_likelihoods").size(), 2u);
  EXPECT_EQ(item->at("gold"), 0);
  EXPECT_EQ(run("model --tasks piqa.jsonl --limit 1").at("tasks").at(0).at("items"), 1);
  write_text(workplace_ / "lambada.jsonl", "{\"text\": \"ab cd ef\"}\n");
  const Json both = run("model --tasks piqa.jsonl,lambada.jsonl --text eval.txt");
  EXPECT_EQ(both.at("tasks").size(), 2u);
  EXPECT_GT(both.at("tasks").at(1).at("perplexity").get<double>(), 1);
  EXPECT_TRUE(both.contains("perplexity"));
}

TEST_F(Eval, TablesSayHowItWasMeasured) {
  prune();
  write_text(workplace_ / "piqa.jsonl", "{\"goal\": \"abc\", \"sol1\": \"def\", \"sol2\": \"ghij\", \"label\": 0}\n");
  const Outcome outcome =
      run_line(workplace_.path(), "eval sparse --text eval.txt --context 32 --against model --tasks piqa.jsonl");
  expect_success(outcome);
  for (const char* text :
       {"nats/token", "bits/byte", "eval.txt: sha256 ", "windows side by side", "KL", "same top", "PIQA", "acc_norm"})
    EXPECT_NE(outcome.out.find(text), std::string::npos) << text << " is not in\n" << outcome.out;
}

// A long text: the interruption comes before it is done, and what is known by then is printed.
TEST_F(Eval, InterruptedTellsWhatItKnows) {
  write_text(workplace_ / "long.txt", random_letters(4000000, 3));
  const Running running = start_esparse(
      workplace_.path(), line_args("eval model --text long.txt --context 16 --json --save-logits l.safetensors"));
  const auto written = [&] {  // the temporary file of the logits grows with every window
    for (const auto& entry : std::filesystem::directory_iterator(workplace_.path()))
      if (entry.path().filename().string().starts_with(".l.safetensors") && entry.file_size() > 100000) return true;
    return false;
  };
  for (int wait = 0; wait < 6000 && !written(); ++wait) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  kill(running.pid, SIGINT);
  const Outcome outcome = running.finish();
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("esparse: interrupted"), std::string::npos) << outcome.err;
  const auto json = parse_json(outcome.out, "standard output");
  ASSERT_TRUE(json.ok()) << outcome.out;
  EXPECT_EQ(json->at("complete"), false);
  EXPECT_GT(json->at("windows").get<int>(), 0);
  EXPECT_LT(json->at("windows").get<int>(), 4000000 / 16);
  EXPECT_FALSE(std::filesystem::exists(workplace_ / "l.safetensors"));
}

}  // namespace
}  // namespace esparse

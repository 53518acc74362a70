// What a person at a terminal meets: suggestions, examples, completion.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"

namespace esparse {
namespace {

const std::vector<std::string> kCommands = {"prune",    "recipes", "eval",  "compare",
                                            "generate", "inspect", "bench", "completion"};

TEST(Suggestions, NameTheNearest) {
  const Workplace workplace;
  const auto run = [&](const std::string& line) { return run_esparse(workplace.path(), split_words(line)); };
  expect_usage_error(run("eval model --text eval.txt --contxt 32"), {"--contxt", "(did you mean --context?)"});
  expect_usage_error(run("prune model -o out --reicpe=best"), {"(did you mean --recipe?)"});
  expect_usage_error(run("pruen model"), {"(did you mean prune?)"});
  expect_usage_error(run("eval model --text eval.txt --colourful"), {"--colourful"});
  expect_refused(run("prune model -o out --recipe bset"), {"recipe \"bset\"", "(did you mean best?)"});
  expect_refused(run("prune model -o out --saliency wandaa"), {"(did you mean wanda?)"});
}

TEST(Help, OfEveryCommandHasTwoExamples) {
  const TempDir directory;
  for (const std::string& command : kCommands) {
    const Outcome outcome = run_esparse(directory.path(), {command, "--help"});
    expect_success(outcome);
    const size_t at = outcome.out.find("Examples:\n");
    ASSERT_NE(at, std::string::npos) << command;
    int examples = 0;
    for (size_t line = outcome.out.find("esparse " + command, at); line != std::string::npos;
         line = outcome.out.find("esparse " + command, line + 1))
      ++examples;
    EXPECT_GE(examples, 2) << command;
  }
}

// The output of a shell command line; the status must be 0.
std::string shell(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string output;
  std::array<char, 4096> buffer{};
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) output.append(buffer.data(), count);
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << output;
  return output;
}

// What bash offers for the last of these words.
std::string completed(const std::string& words) {
  const std::string script = std::string("source <(") + ESPARSE_BINARY + " completion bash); COMP_WORDS=(" + words +
                             "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _esparse; echo \"${COMPREPLY[@]}\"";
  return shell("bash -c '" + script + "'");
}

TEST(Completion, OfBash) {
  EXPECT_EQ(completed("esparse pru"), "prune\n");
  EXPECT_EQ(completed("esparse prune --reci"), "--recipe\n");
  EXPECT_EQ(completed("esparse prune model --recipe be"), "best\n");
  EXPECT_EQ(completed("esparse eval --cont"), "--context\n");
  EXPECT_EQ(completed("esparse eval mod"), "\n") << "files are left to the shell";
  EXPECT_EQ(completed("esparse generate --kv-dtype b"), "bf16\n");
}

TEST(Completion, OfZshIsWellFormed) {
  if (std::system("command -v zsh >/dev/null") != 0) GTEST_SKIP() << "no zsh here";
  const std::string script = shell(std::string(ESPARSE_BINARY) + " completion zsh");
  EXPECT_EQ(script.rfind("#compdef esparse\n", 0), 0u);
  shell(std::string(ESPARSE_BINARY) + " completion zsh | zsh -n /dev/stdin");
  EXPECT_EQ(shell("zsh -fc 'autoload -Uz compinit && compinit -D && source <(" + std::string(ESPARSE_BINARY) +
                  " completion zsh) && echo ${_comps[esparse]}'"),
            "_esparse\n");
}

TEST(Completion, OfAnotherShellIsAUsageError) {
  const TempDir directory;
  expect_usage_error(run_esparse(directory.path(), {"completion", "fish"}), {"fish", "bash"});
}

}  // namespace
}  // namespace esparse

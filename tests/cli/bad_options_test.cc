// What wrong options and wrong texts get: the option or file by name, what was expected, and nothing left behind.
#include <gtest/gtest.h>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"

namespace esparse {
namespace {

struct BadLine {
  const char* name;
  const char* line;
  std::vector<std::string> texts;  // the error holds all of them
};

void PrintTo(const BadLine& bad, std::ostream* out) { *out << bad.line; }

// Beside the files of Workplace: empty.txt and short.txt (4 tokens). The model has 128 positions and in_features 32, 64
// and 24.
class Refusal : public testing::TestWithParam<BadLine> {
 protected:
  Refusal() {
    write_text(workplace_ / "empty.txt", "");
    write_text(workplace_ / "short.txt", "abcd");
    write_text(workplace_ / "broken.jsonl", "{\"text\": \"abc\"}\n{\"txt\": \"abc\"}\n");
  }
  const Workplace workplace_;
};

class UsageError : public Refusal {};

TEST_P(Refusal, NamesWhatIsWrong) {
  const auto before = workplace_.files();
  expect_refused(run_line(workplace_.path(), GetParam().line), GetParam().texts);
  expect_same_files(before, workplace_.files());
}

TEST_P(UsageError, NamesWhatIsWrong) {
  const auto before = workplace_.files();
  expect_usage_error(run_line(workplace_.path(), GetParam().line), GetParam().texts);
  expect_same_files(before, workplace_.files());
}

const BadLine kBadRecipes[] = {
    {"PatternKeepsMoreThanTheGroup",
     "prune model -o out --saliency magnitude --pattern 3:2",
     {"pattern", "\"3:2\"", "1 <= N < M"}},
    {"PatternKeepsAll", "prune model -o out --saliency magnitude --pattern 2:2", {"pattern", "\"2:2\"", "1 <= N < M"}},
    {"PatternKeepsNone", "prune model -o out --saliency magnitude --pattern 0:4", {"pattern", "\"0:4\"", "1 <= N < M"}},
    {"PatternIsAWord", "prune model -o out --saliency magnitude --pattern abc", {"pattern", "\"abc\"", "expected N:M"}},
    {"PatternIsNegative",
     "prune model -o out --saliency magnitude --pattern -1:4",
     {"pattern", "\"-1:4\"", "expected N:M"}},
    {"PatternOfTooLargeGroups",
     "prune model -o out --saliency magnitude --pattern 2:64",
     {"pattern", "\"2:64\"", "at most 32"}},
    {"UnknownSaliency", "prune model -o out --saliency size", {"saliency", "\"size\"", "magnitude, wanda, esparse"}},
    {"UnknownShuffle",
     "prune model -o out --saliency magnitude --shuffle riffle",
     {"shuffle", "\"riffle\"", "none, global, local"}},
    {"UnknownEntropyRange",
     "prune model -o out --calib calib.txt --entropy-range row",
     {"command line: entropy_range: ", "\"row\"", "channel, layer or quantile"}},
    {"EntropyQuantileOutOfRange",
     "prune model -o out --calib calib.txt --entropy-range quantile(1.5)",
     {"\"quantile(1.5)\"", "< 1"}},
    {"UnknownNormReduction",
     "prune model -o out --calib calib.txt --norm-reduction mean",
     {"norm_reduction: ", "\"mean\"", "per_seq, per_token or total"}},
    {"AlphaNegative", "prune model -o out --calib calib.txt --alpha -1", {"alpha: ", "at least 0", "-1"}},
    {"AlphaNotANumber", "prune model -o out --calib calib.txt --alpha nan", {"alpha: ", "at least 0", "nan"}},
    {"RiaPowerNegative", "prune model -o out --calib calib.txt --ria-power -1", {"ria_power: ", "from 0 to 10", "-1"}},
    {"OneBin", "prune model -o out --calib calib.txt --bins 1", {"bins: ", "2 to 4096", "got \"1\""}},
    {"ShuffleBlockBelowAGroup",
     "prune model -o out --recipe magnitude --shuffle local --shuffle-block 2",
     {"shuffle_block: ", "4 channels", "got 2"}},
    {"UnknownDeal", "prune model -o out --recipe magnitude --deal cut", {"deal: ", "\"cut\"", "snake or deal"}},
    {"UnknownUpdate", "prune model -o out --recipe magnitude --update prayer", {"update: ", "\"prayer\"", "refit"}},
    {"UnknownScope", "prune model -o out --recipe magnitude --scope model", {"scope: ", "\"model\"", "row"}},
    {"UnknownAllocation", "prune model -o out --recipe wanda --allocation fair", {"allocation: ", "\"fair\"", "owl"}},
    {"SwitchThatIsANumber", "prune model -o out --recipe wanda --sequential 1", {"sequential: ", "true or false"}},
    {"DampingNegative", "prune model -o out --recipe sparsegpt --damping -1", {"damping: ", "from 0 to 10", "-1"}},
    {"SweepsZero", "prune model -o out --recipe best --sweeps 0", {"sweeps: ", "1 to 1000", "\"0\""}},
    {"UnstructuredShuffled",
     "prune model -o out --recipe magnitude --pattern 50% --shuffle global",
     {"shuffle global: pattern 50% has no groups", "shuffle none"}},
    {"PercentOfEverything", "prune model -o out --recipe magnitude --pattern 100%", {"pattern: ", "\"100%\""}},
    {"UnknownRecipe", "prune model -o out --recipe nonsense", {"recipe \"nonsense\"", "best", "wanda"}},
    {"RecipeFileMissing", "prune model -o out --recipe nowhere.yaml", {"nowhere.yaml: cannot open", "No such file"}},
    {"BudgetIsAWord", "prune model -o out --recipe magnitude --memory-budget much", {"--memory-budget: ", "'much'"}},
    {"BudgetNegative", "prune model -o out --recipe magnitude --memory-budget -1GiB", {"--memory-budget: ", "'-1GiB'"}},
    {"BudgetOfAnUnknownUnit",
     "prune model -o out --recipe magnitude --memory-budget 8GiBs",
     {"--memory-budget: ", "'8GiBs'", "8GiB"}},
    {"BudgetTooSmall",
     "prune model -o out --recipe magnitude --memory-budget 1KiB",
     {"--memory-budget: 1.00 KiB", "this run needs about", "MiB"}},
    {"WandaWithoutCalibration",
     "prune model -o out --saliency wanda",
     {"--calib: this recipe needs a calibration text"}},
    {"EsparseWithoutCalibration", "prune model -o out", {"--calib: this recipe needs a calibration text"}},
};
INSTANTIATE_TEST_SUITE_P(Recipe, Refusal, testing::ValuesIn(kBadRecipes),
                         [](const auto& test) { return std::string(test.param.name); });

const BadLine kBadTexts[] = {
    {"CalibrationMissing", "prune model -o out --calib nowhere.txt", {"nowhere.txt: cannot open", "No such file"}},
    {"CalibrationIsADirectory", "prune model -o out --calib model", {"model: expected a file, got a directory"}},
    {"CalibrationEmpty", "prune model -o out --calib empty.txt", {"empty.txt: expected text, got an empty file"}},
    {"CalibrationTooShort",
     "prune model -o out --calib short.txt --seqlen 16",
     {"short.txt", "at least 16 tokens, got 4"}},
    {"CalibrationWithoutText",
     "prune model -o out --calib broken.jsonl",
     {"broken.jsonl: line 2", "\"text\" is missing"}},
    {"WindowsLongerThanTheModel",
     "prune model -o out --calib calib.txt --seqlen 129",
     {"--seqlen", "128 positions", "got 129"}},
    {"EvalTextMissing", "eval model --text nowhere.txt", {"nowhere.txt: cannot open", "No such file"}},
    {"EvalTextIsADirectory", "eval model --text model", {"model: expected a file, got a directory"}},
    {"EvalTextEmpty", "eval model --text empty.txt", {"empty.txt: expected text, got an empty file"}},
    {"UnknownJoin", "eval model --text eval.txt --join lines", {"--join", "wikitext", "\"lines\""}},
    {"UnknownBosRule", "eval model --text eval.txt --bos always", {"--bos", "window", "\"always\""}},
    {"BosThatIsNone", "eval model --text eval.txt --bos window", {"--bos window", "no BOS"}},
    {"StrideBeyondTheWindow", "eval model --text eval.txt --context 32 --stride 33", {"--stride", "1 to 32", "got 33"}},
    {"AgainstNothing", "eval model --text eval.txt --against nowhere", {"nowhere"}},
    {"AgainstNoLogits",
     "eval model --text eval.txt --against model/model.safetensors",
     {"model/model.safetensors", "--save-logits"}},
    {"AgainstWithoutText", "eval model --tasks choices=empty.txt --against model", {"--against: needs a --text"}},
    {"SaveLogitsOfAnotherName",
     "eval model --text eval.txt --save-logits dense.bin",
     {"--save-logits: dense.bin", ".safetensors"}},
    {"LimitWithoutTasks", "eval model --text eval.txt --limit 5", {"--limit: needs --tasks"}},
    {"ItemsWithoutTasks", "eval model --text eval.txt --items x", {"--items: needs --tasks"}},
    {"ReportLinearUnknown",
     "prune model -o out --recipe magnitude --report-linear model.layers.0.mlp.dwn_proj",
     {"--report-linear", "did you mean model.layers.0.mlp.down_proj?"}},
    {"TaskUnknown", "eval model --tasks pika=eval.txt", {"task \"pika\"", "lambada", "did you mean piqa?"}},
    {"TaskNotTold", "eval model --tasks eval.txt", {"eval.txt", "tells no task"}},
    {"TaskFileMissing", "eval model --tasks piqa.jsonl", {"piqa.jsonl: cannot open"}},
    {"TaskFileEmpty", "eval model --tasks choices=empty.txt", {"empty.txt: expected JSON lines"}},
    {"TaskFileOfAnotherKind", "eval model --tasks piqa=broken.jsonl", {"broken.jsonl: line 1", "\"goal\" is missing"}},
    {"ContextBeyondTheModel", "eval model --text eval.txt --context 129", {"--context", "128 positions", "got 129"}},
    {"ContextOfOneToken", "eval model --text eval.txt --context 1", {"--context", "at least 2", "got 1"}},
    {"TokenizerNowhere",
     "eval model --text eval.txt --tokenizer nowhere",
     {"nowhere: expected a directory with a tokenizer"}},
    {"TokenizerIsNone", "eval model --text eval.txt --tokenizer calib.txt", {"calib.txt: expected a tokenizer file"}},
};
INSTANTIATE_TEST_SUITE_P(Text, Refusal, testing::ValuesIn(kBadTexts),
                         [](const auto& test) { return std::string(test.param.name); });

const BadLine kBadSampling[] = {
    {"TemperatureNegative", "generate model --prompt abc --temperature -0.5", {"--temperature", "at least 0", "-0.5"}},
    {"TemperatureNotANumber", "generate model --prompt abc --temperature nan", {"--temperature", "at least 0", "nan"}},
    {"TemperatureInfinite", "generate model --prompt abc --temperature inf", {"--temperature", "at least 0", "inf"}},
    {"TopPZero", "generate model --prompt abc --top-p 0", {"--top-p", "more than 0", "got 0"}},
    {"TopPAboveOne", "generate model --prompt abc --top-p 1.5", {"--top-p", "at most 1", "1.5"}},
};
INSTANTIATE_TEST_SUITE_P(Sampling, Refusal, testing::ValuesIn(kBadSampling),
                         [](const auto& test) { return std::string(test.param.name); });

// Whether the machine has no GPU, this build no CUDA, or there are fewer than 100 of them.
const BadLine kBadDevices[] = {
    {"NoSuchGpu", "prune model -o out --saliency magnitude --device cuda:99", {"--device cuda"}},
};
INSTANTIATE_TEST_SUITE_P(Device, Refusal, testing::ValuesIn(kBadDevices),
                         [](const auto& line) { return std::string(line.param.name); });

const BadLine kUsageErrors[] = {
    {"DeviceIsAWord",
     "prune model -o out --saliency magnitude --device tpu",
     {"--device", "expected cpu, cuda or cuda:N", "tpu"}},
    {"BudgetOnAGpu", "prune model -o out --budget ppl<=+5% --device cuda", {"--device", "--budget"}},
    {"UnknownOptionOfPrune", "prune model -o out --bogus", {"--bogus"}},
    {"UnknownOptionOfEval", "eval model --text eval.txt --bogus", {"--bogus"}},
    {"UnknownOptionOfGenerate", "generate model --prompt abc --bogus", {"--bogus"}},
    {"UnknownOptionOfInspect", "inspect model --bogus", {"--bogus"}},
    {"SecondModel", "inspect model another", {"another"}},
    {"PruneWithoutOutput", "prune model --saliency magnitude", {"--output"}},
    {"PruneWithoutModel", "prune -o out --saliency magnitude", {"MODEL"}},
    {"EvalWithoutTextOrTasks", "eval model", {"--text or --tasks"}},
    {"GenerateWithoutPrompt", "generate model", {"--prompt"}},
    {"InspectWithoutModel", "inspect", {"MODEL"}},
    {"TemperatureIsAWord", "generate model --prompt abc --temperature hot", {"--temperature", "hot"}},
    {"NoNewTokens", "generate model --prompt abc -n 0", {"--tokens", "0"}},
    {"ContextZero", "eval model --text eval.txt --context 0", {"--context", "0"}},
    {"NoSamples", "prune model -o out --calib calib.txt --samples 0", {"--samples", "0"}},
    {"SeedIsAWord", "generate model --prompt abc --seed lucky", {"--seed", "lucky"}},
    {"ThreadsNegative", "inspect model --threads -1", {"--threads", "-1"}},
    {"ThreadsAreAWord", "inspect model --threads many", {"--threads", "many"}},
};
INSTANTIATE_TEST_SUITE_P(CommandLine, UsageError, testing::ValuesIn(kUsageErrors),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(CommandLine, WithoutSubCommandIsAUsageError) {
  const TempDir directory;
  expect_usage_error(run_esparse(directory.path(), {}), {"sub-command is required"});
}

TEST(CommandLine, UnknownSubCommandOrOptionIsAUsageError) {
  const TempDir directory;
  expect_usage_error(run_esparse(directory.path(), {"squeeze"}), {});
  expect_usage_error(run_esparse(directory.path(), {"--bogus"}), {});
}

TEST(CommandLine, HelpAndVersionSucceed) {
  const TempDir directory;
  for (const char* flag : {"--help", "-h"}) {
    const Outcome outcome = run_esparse(directory.path(), {flag});
    expect_success(outcome);
    for (const char* command : {"prune", "recipes", "eval", "generate", "inspect", "bench", "completion"}) {
      EXPECT_NE(outcome.out.find(std::string("\n  ") + command + " "), std::string::npos) << command;
      const Outcome own = run_esparse(directory.path(), {command, flag});
      expect_success(own);
      EXPECT_NE(own.out.find(std::string("Usage: esparse ") + command), std::string::npos) << own.out;
      EXPECT_NE(own.out.find("Example"), std::string::npos) << own.out;
    }
  }
  const Outcome version = run_esparse(directory.path(), {"--version"});
  expect_success(version);
  EXPECT_EQ(version.out.rfind("esparse ", 0), 0u) << version.out;
}

TEST(Prompt, EmptyWithoutBosIsRefused) {
  const Workplace workplace;
  expect_refused(run_esparse(workplace.path(), {"generate", "model", "--prompt", "", "--threads", "1"}),
                 {"--prompt", "no token"});
}

TEST(Prompt, LongerThanTheContextIsRefused) {
  const Workplace workplace;
  const auto with_letters = [&](int count) {
    return run_line(workplace.path(), "generate model --json --prompt " + std::string(count, 'a'));
  };
  expect_refused(with_letters(129), {"--prompt: 129 tokens", "128 positions"});
  expect_success(with_letters(128));
}

TEST(InstructionSet, UnknownIsRefused) {
  const Workplace workplace;
  const RunOptions nonsense{.environment = {{"ESPARSE_ISA", "nonsense"}}};
  const auto before = workplace.files();
  for (const char* line : {"prune model -o out --saliency magnitude", "eval model --text eval.txt",
                           "generate model --prompt abc --json"}) {
    SCOPED_TRACE(line);
    expect_refused(run_line(workplace.path(), line, nonsense), {"ESPARSE_ISA", "portable", "'nonsense'"});
  }
  expect_same_files(before, workplace.files());
}

TEST(InstructionSet, PortableIsAlwaysThere) {
  const Workplace workplace;
  const RunOptions portable{.environment = {{"ESPARSE_ISA", "portable"}}};
  const Outcome outcome = run_line(workplace.path(), "eval model --text eval.txt", portable);
  expect_success(outcome);
  EXPECT_NE(outcome.out.find("perplexity"), std::string::npos) << outcome.out;
}

TEST(StandardOutput, ThatIsFullIsAnError) {
  const Workplace workplace;
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  const RunOptions full{.stdout_path = "/dev/full"};
  for (const char* line :
       {"inspect model", "inspect model --json", "eval model --text eval.txt", "generate model --prompt abc -n 4"}) {
    SCOPED_TRACE(line);
    expect_refused(run_line(workplace.path(), line, full), {"standard output", "No space left"});
  }
}

}  // namespace
}  // namespace esparse

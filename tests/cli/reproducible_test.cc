// The same input gives the same bytes: for any number of threads, and until an option changes.
#include <gtest/gtest.h>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"

namespace esparse {
namespace {

constexpr const char* kPrune = "prune model --calib calib.txt --samples 4 --seqlen 24 --json ";

// By name.
std::map<std::string, std::string> output_files(const Workplace& workplace, const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const std::string& name : entries_of(workplace / directory))
    files[name] = read_text(workplace / directory / name);
  EXPECT_GE(files.size(), 7u);  // three shards, index, configuration, report, tokenizer
  return files;
}

class EveryModel : public testing::TestWithParam<const char*> {};

TEST_P(EveryModel, PrunesToTheSameBytes) {
  const Workplace workplace(GetParam());
  expect_success(run_line(workplace.path(), kPrune + std::string("-o first --threads 1")));
  expect_success(run_line(workplace.path(), kPrune + std::string("-o again --threads 1")));
  expect_success(run_line(workplace.path(), kPrune + std::string("-o parallel --threads 2")));
  const auto first = output_files(workplace, "first");
  expect_same_files(first, output_files(workplace, "again"));
  expect_same_files(first, output_files(workplace, "parallel"));
}

class EveryRecipe : public testing::TestWithParam<std::string> {};

// On the model that ships: wide enough that the work is cut into pieces.
TEST_P(EveryRecipe, PrunesToTheSameBytesWithAnyNumberOfThreads) {
  const TempDir directory;
  const std::string models = std::string(ESPARSE_SOURCE_DIR) + "/models/";
  const std::string line = "prune " + models + "novel-1m --json --samples 2 --seqlen 96 --recipe " + GetParam() +
                           " --calib " + models + "text/calibration.txt";
  expect_success(run_line(directory.path(), line + " -o one --threads 1"));
  for (const char* threads : {"2", "4"}) {
    SCOPED_TRACE(threads);
    expect_success(run_line(directory.path(), line + " -o more --force --threads " + threads));
    ASSERT_EQ(entries_of(directory / "one"), entries_of(directory / "more"));
    for (const std::string& name : entries_of(directory / "one"))
      EXPECT_TRUE(read_text(directory / "one" / name) == read_text(directory / "more" / name)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Shipped, EveryRecipe, testing::Values("best", "alps", "sparsegpt", "owl-wanda", "spense"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(EveryModel, EvaluatesAndGeneratesTheSameWithTwoThreads) {
  const Workplace workplace(GetParam());
  expect_success(run_line(workplace.path(), kPrune + std::string("-o sparse")));
  for (const std::string model : {"model", "sparse"}) {
    const std::string eval = "eval " + model + " --text eval.txt --context 32 --json";
    const Outcome one = run_line(workplace.path(), eval + " --threads 1");
    expect_success(one);
    EXPECT_EQ(one.out, run_line(workplace.path(), eval + " --threads 2").out);
    const std::string generate = "generate " + model + " --prompt abc -n 8 --ignore-eos";
    const Outcome text = run_line(workplace.path(), generate + " --threads 1");
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_EQ(text.out.rfind("abc", 0), 0u) << text.out;
    EXPECT_EQ(text.out, run_line(workplace.path(), generate + " --threads 2").out);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, EveryModel,
                         testing::Values("llama2-gqa-untied", "qwen3", "opt-prenorm", "opt-postnorm", "llama-bf16"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// All tensors of the pruned blocks.
std::string weights_of(const Workplace& workplace, const std::string& options) {
  const Outcome outcome = run_line(workplace.path(), "prune model -o out --force --json " + options);
  expect_success(outcome);
  return read_text(workplace / "out/model-00001-of-00003.safetensors") +
         read_text(workplace / "out/model-00002-of-00003.safetensors");
}

// An option that is parsed and then forgotten would otherwise go unseen.
TEST(Options, ThatShouldMatterDo) {
  const Workplace workplace("llama2-gqa-untied");
  const std::string base = "--calib calib.txt --samples 4 --seqlen 24";
  const std::string expected = weights_of(workplace, base);
  EXPECT_TRUE(expected ==
              weights_of(workplace, base + " --seed 0 --pattern 2:4 --saliency esparse --shuffle global+local"))
      << "the defaults are not those of the help";
  for (const char* option : {"--seed 1",
                             "--pattern 4:8",
                             "--saliency magnitude",
                             "--saliency wanda",
                             "--shuffle none",
                             "--shuffle local",
                             "--shuffle global",
                             "--alpha 0",
                             "--bins 4",
                             "--entropy-range layer",
                             "--entropy-range quantile(0.9)",
                             "--norm-reduction total",
                             "--shuffle-block 8",
                             "--shuffle global --deal deal",

                             "--saliency obs",
                             "--saliency obs --damping 0.5",
                             "--saliency ria",
                             "--saliency ria --ria-power 1",
                             "--update obs",
                             "--update admm",
                             "--update dsnot --shuffle none",
                             "--update refit",
                             "--update descent",
                             "--pattern 50% --shuffle none",
                             "--pattern spense",
                             "--sequential true"})
    EXPECT_FALSE(expected == weights_of(workplace, base + " " + option)) << option;
  EXPECT_FALSE(weights_of(workplace, base + " --shuffle global") ==
               weights_of(workplace, base + " --shuffle global --deal deal"));
  for (const auto& [without, with] : std::vector<std::pair<std::string, std::string>>{
           {"--saliency obs", "--damping 0.5"},
           {"--shuffle lsa", "--lsa-blocks 4"},
           {"--shuffle local", "--shuffle-rows 4"},
           {"--saliency ria", "--ria-power 1"},
           {"--update obs", "--damping 0.5"},
           {"--update refit", "--refit-damping 0.5"},
           {"--update refit", "--residual false"},
           {"--update descent", "--sweeps 1"},
           {"--update dsnot", "--dsnot-cycles 1"},
           {"--update dsnot", "--dsnot-threshold 1"},
           {"--pattern 50% --shuffle none", "--scope layer"},
           {"--pattern spense", "--dense-fraction 1/2"},
           {"--pattern spense", "--selection tail"},
           {"--pattern spense", "--selection drop"},
           {"--pattern spense", "--selection loss"},
           {"--pattern spense --selection random", "--selection-seed 1"},
           {"--pattern spense", "--spense-mode per-matrix"},
           {"--pattern 50% --shuffle none", "--allocation owl"},
           {"--pattern 50% --shuffle none --allocation owl", "--owl-lambda 0.2"},
           {"--pattern 4:8 --allocation owl", "--owl-span 4"}})
    EXPECT_FALSE(weights_of(workplace, base + " " + without) ==
                 weights_of(workplace, base + " " + without + " " + with))
        << without << " takes no notice of " << with;
  EXPECT_FALSE(expected == weights_of(workplace, "--calib calib.txt --samples 3 --seqlen 24"));
  EXPECT_FALSE(expected == weights_of(workplace, "--calib calib.txt --samples 4 --seqlen 20"));
  EXPECT_FALSE(expected == weights_of(workplace, "--calib eval.txt --samples 4 --seqlen 24"));
}

std::string generated(const Workplace& workplace, const std::string& options) {
  const Outcome outcome = run_line(workplace.path(), "generate model --prompt abc -n 16 --ignore-eos " + options);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out.rfind("abc", 0), 0u) << outcome.out;
  EXPECT_GT(outcome.out.size(), 16u);
  return outcome.out;
}

// bf16 has the flattest logits of the golden models, so sampling has something to choose from.
TEST(Generate, FollowsTemperatureAndSeed) {
  const Workplace workplace("llama-bf16");
  const std::string greedy = generated(workplace, "--temperature 0");
  EXPECT_EQ(greedy, generated(workplace, "--temperature 0 --seed 9")) << "greedy choice must not depend on the seed";
  EXPECT_EQ(greedy, generated(workplace, "")) << "temperature 0 is the default";
  const std::string sampled = generated(workplace, "--temperature 1 --seed 3");
  EXPECT_EQ(sampled, generated(workplace, "--temperature 1 --seed 3"));
  EXPECT_NE(sampled, generated(workplace, "--temperature 1 --seed 4"));
  EXPECT_NE(sampled, greedy);
  EXPECT_EQ(greedy, generated(workplace, "--temperature 1 --seed 3 --top-p 0.000001"))
      << "only the most probable token is left";
}

}  // namespace
}  // namespace esparse

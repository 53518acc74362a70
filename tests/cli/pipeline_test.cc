// prune -> inspect -> eval -> generate on every kind of golden model, read through the commands' own JSON.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <stdexcept>
#include <tuple>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"
#include "io/json.h"

namespace esparse {
namespace {

// Standard output as the one JSON object that it must be, with exactly these keys.
Json one_object(const Outcome& outcome, const std::set<std::string>& keys) {
  expect_success(outcome);
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1);
  EXPECT_TRUE(outcome.out.ends_with("}\n"));
  auto parsed = parse_json(outcome.out, "standard output");
  if (!parsed.ok() || !parsed->is_object()) {
    throw std::runtime_error("expected one JSON object, got: " + outcome.out);  // ends this test alone
  }
  std::set<std::string> found;
  for (const auto& [key, value] : parsed->items()) found.insert(key);
  EXPECT_EQ(found, keys);
  return std::move(parsed).value();
}

Json prune(const Workplace& workplace, const std::string& options) {
  std::set<std::string> keys = {"output",
                                "linears",
                                "bytes_dense",
                                "bytes",
                                "retained_saliency",
                                "more_damping",
                                "seconds",
                                "peak_resident_bytes",
                                "worse_than_magnitude"};
  if (options.find("--calib") != std::string::npos) keys.insert({"output_error", "magnitude_error"});
  return one_object(run_line(workplace.path(), "prune model -o out --json " + options), keys);
}

uintmax_t weight_file_bytes(const std::filesystem::path& directory) {
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  return bytes;
}

Json inspect(const Workplace& workplace, const std::string& model) {
  return one_object(
      run_line(workplace.path(), "inspect " + model + " --json"),
      {"tensors", "bytes_dense", "bytes", "packed_bytes_dense", "packed_bytes", "file_bytes", "elements", "nonzero"});
}

const std::set<std::string> kEvalKeys = {"perplexity", "perplexity_stderr", "nll",     "nll_stderr", "bits_per_byte",
                                         "tokens",     "windows",           "context", "complete",   "text"};

Json evaluate(const Workplace& workplace, const std::string& model) {
  return one_object(run_line(workplace.path(), "eval " + model + " --text eval.txt --context 32 --json"), kEvalKeys);
}

Json generate(const Workplace& workplace, const std::string& model) {
  return one_object(run_line(workplace.path(), "generate " + model + " --prompt abc -n 8 --ignore-eos --json"),
                    {"prompt", "text", "prompt_tokens", "new_tokens", "ids", "prefill_tokens_per_second",
                     "decode_tokens_per_second"});
}

struct Golden {
  const char* name;
  const char* dtype;
  int64_t linears;                    // of its two blocks
  int64_t packed_parts, dense_parts;  // half of the values and one bit per element, of all values
};
void PrintTo(const Golden& golden, std::ostream* out) { *out << golden.name; }

constexpr Golden kGolden[] = {{"llama2-gqa-untied", "F32", 14, 17, 32},
                              {"qwen3", "F32", 14, 17, 32},
                              {"opt-prenorm", "F32", 12, 17, 32},
                              {"opt-postnorm", "F32", 12, 17, 32},
                              {"llama-bf16", "BF16", 14, 9, 16}};

using Choice = std::tuple<Golden, const char*, const char*, const char*>;  // model, pattern, saliency, shuffle

class Pipeline : public testing::TestWithParam<Choice> {
 protected:
  Pipeline() : workplace_(std::get<0>(GetParam()).name) {}

  void check_inventory(const Golden& golden, const std::string& pattern, bool shuffled) {
    const Json inventory = inspect(workplace_, "out");
    int64_t packed = 0, orders = 0, dense_bytes = 0, bytes = 0;
    for (const Json& tensor : inventory.at("tensors")) {
      const auto name = tensor.at("name").get<std::string>();
      dense_bytes += tensor.at("bytes_dense").get<int64_t>();
      bytes += tensor.at("bytes").get<int64_t>();
      orders += name.ends_with("input_order");
      if (!tensor.at("packed").get<bool>()) continue;
      ++packed;
      EXPECT_EQ(tensor.at("density").get<double>(), 0.5) << name;
      EXPECT_EQ(tensor.at("format").get<std::string>(), pattern + " " + golden.dtype) << name;
      EXPECT_EQ(tensor.at("bytes").get<int64_t>() * golden.dense_parts,
                tensor.at("bytes_dense").get<int64_t>() * golden.packed_parts)
          << name;
    }
    EXPECT_EQ(packed, golden.linears);
    EXPECT_EQ(orders > 0, shuffled) << "channel orders in the file";
    EXPECT_EQ(inventory.at("bytes").get<int64_t>(), bytes);
    EXPECT_EQ(inventory.at("bytes_dense").get<int64_t>(), dense_bytes);
    EXPECT_EQ(inventory.at("packed_bytes"), report_.at("bytes"));
    EXPECT_EQ(inventory.at("packed_bytes_dense"), report_.at("bytes_dense"));
    EXPECT_EQ(inventory.at("file_bytes").get<uintmax_t>(), weight_file_bytes(workplace_ / "out"));
  }

  const Workplace workplace_;
  Json report_;
};

void check_evaluation(const Json& measured) {
  EXPECT_EQ(measured.at("context"), 32);
  EXPECT_EQ(measured.at("windows"), 200 / 32);
  EXPECT_EQ(measured.at("tokens"), 200 / 32 * 31);
  const double nll = measured.at("nll").get<double>();
  EXPECT_GT(nll, 0);
  EXPECT_DOUBLE_EQ(measured.at("perplexity").get<double>(), std::exp(nll));
  EXPECT_EQ(measured.at("text").at("tokens"), 200);
  EXPECT_EQ(measured.at("text").at("bytes"), 200);
  EXPECT_NEAR(measured.at("bits_per_byte").get<double>(), nll / std::log(2.0), 1e-12) << "a token is a letter";
}

void check_generation(const Json& generation) {
  EXPECT_EQ(generation.at("prompt"), "abc");
  EXPECT_EQ(generation.at("prompt_tokens"), 3);
  EXPECT_EQ(generation.at("new_tokens"), 8);
  std::string text;
  for (const Json& id : generation.at("ids")) {
    ASSERT_LT(id.get<int>(), kTokens) << "the tokenizer has no such id";
    text += token_text(id.get<int>());
  }
  EXPECT_EQ(generation.at("ids").size(), 8u);
  EXPECT_EQ(generation.at("text"), text);
  EXPECT_GT(generation.at("prefill_tokens_per_second").get<double>(), 0);
  EXPECT_GT(generation.at("decode_tokens_per_second").get<double>(), 0);
}

TEST_P(Pipeline, EveryStepHoldsTogether) {
  const auto& [golden, pattern, saliency, shuffle] = GetParam();
  std::string options = std::string("--pattern ") + pattern + " --saliency " + saliency + " --shuffle " + shuffle;
  if (std::string(saliency) != "magnitude") options += " --calib calib.txt --samples 4 --seqlen 24";
  report_ = prune(workplace_, options);
  EXPECT_EQ(report_.at("output"), "out");
  EXPECT_EQ(report_.at("linears"), golden.linears);
  EXPECT_EQ(report_.at("bytes").get<int64_t>() * golden.dense_parts,
            report_.at("bytes_dense").get<int64_t>() * golden.packed_parts);
  EXPECT_GT(report_.at("retained_saliency").get<double>(), 0.5) << "the larger half of every group is worth more";
  EXPECT_LT(report_.at("retained_saliency").get<double>(), 1.0);
  EXPECT_GT(report_.at("peak_resident_bytes").get<int64_t>(), report_.at("bytes_dense").get<int64_t>());
  check_inventory(golden, pattern, std::string(shuffle) != "none");
  EXPECT_EQ(read_text(workplace_ / "out/tokenizer.json"), tokenizer_json());

  const Json sparse = evaluate(workplace_, "out");
  check_evaluation(sparse);
  EXPECT_NE(sparse.at("nll"), evaluate(workplace_, "model").at("nll")) << "pruning has changed nothing";
  check_generation(generate(workplace_, "out"));
}

std::string choice_name(const testing::TestParamInfo<Choice>& info) {
  const auto& [golden, pattern, saliency, shuffle] = info.param;
  std::string name = std::string(golden.name) + "_" + pattern + "_" + saliency + "_" + shuffle;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Golden, Pipeline,
                         testing::Combine(testing::ValuesIn(kGolden), testing::Values("2:4", "4:8"),
                                          testing::Values("magnitude", "wanda", "esparse"),
                                          testing::Values("none", "global+local")),
                         choice_name);

TEST(DenseModel, IsInspectedAsDense) {
  const Workplace workplace("llama-bf16");
  const Json inventory = inspect(workplace, "model");
  EXPECT_EQ(inventory.at("bytes"), inventory.at("bytes_dense"));
  EXPECT_EQ(inventory.at("packed_bytes"), 0);
  EXPECT_EQ(inventory.at("elements").get<int64_t>() * 2, inventory.at("bytes").get<int64_t>());
  for (const Json& tensor : inventory.at("tensors")) EXPECT_FALSE(tensor.at("packed").get<bool>()) << tensor.at("name");
  check_evaluation(evaluate(workplace, "model"));
  check_generation(generate(workplace, "model"));
}

// Without a shuffle the best 4 of 8 include the best 2 of each 4.
TEST(Pattern, OfLargerGroupsRetainsMore) {
  const Workplace workplace;
  const std::string options = "--saliency magnitude --shuffle none --force --pattern ";
  const double fine = prune(workplace, options + "2:4").at("retained_saliency").get<double>();
  const double coarse = prune(workplace, options + "4:8").at("retained_saliency").get<double>();
  const double eighth = prune(workplace, options + "1:8").at("retained_saliency").get<double>();
  EXPECT_GT(coarse, fine);
  EXPECT_LT(eighth, fine);
}

TEST(EsparseJson, TellsTheRecipe) {
  const Workplace workplace;
  prune(workplace,
        "--pattern 4:8 --saliency esparse --shuffle local --alpha 0.5 --bins 50 --calib calib.txt --samples 4 --seqlen "
        "24 --seed 7");
  auto report = read_json(workplace / "out/esparse.json");
  ASSERT_TRUE(report.ok()) << report.status().message();
  const Json& recipe = (*report).at("recipe");
  EXPECT_EQ(recipe.at("pattern"), "4:8");
  EXPECT_EQ(recipe.at("saliency"), "esparse");
  EXPECT_EQ(recipe.at("shuffle"), "local");
  EXPECT_EQ(recipe.at("alpha"), 0.5);
  EXPECT_EQ(recipe.at("bins"), 50);
  EXPECT_EQ((*report).at("calibration"), Json({{"file", "calib.txt"}, {"samples", 4}, {"seqlen", 24}, {"seed", 7}}));
  EXPECT_EQ((*report).at("linears").size(), 14u);
}

TEST(Tables, ShowWhatTheJsonSays) {
  const Workplace workplace;
  const Outcome pruned = run_line(workplace.path(), "prune model -o out --recipe magnitude");
  expect_success_with_estimate(pruned);
  EXPECT_NE(pruned.out.find("53.12 %"), std::string::npos) << pruned.out;  // 17/32
  const Outcome inspected = run_line(workplace.path(), "inspect out");
  expect_success(inspected);
  EXPECT_NE(inspected.out.find("2:4 F32"), std::string::npos) << inspected.out;
  const Outcome evaluated = run_line(workplace.path(), "eval out --text eval.txt --context 32");
  expect_success(evaluated);
  EXPECT_NE(evaluated.out.find("perplexity"), std::string::npos) << evaluated.out;
}

}  // namespace
}  // namespace esparse

// What a damaged or incomplete model gets: every command that computes with it refuses it by name and leaves nothing.
#include <gtest/gtest.h>

#include <limits>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTensor = "model.layers.1.mlp.up_proj.weight";  // [24, 32] in the f32 model qwen3
constexpr int64_t kRow1Column5 = 32 + 5;

void cut_file(const fs::path& path, uintmax_t removed_bytes) {
  fs::resize_file(path, fs::file_size(path) - removed_bytes);
}

struct BadModel {
  const char* name;
  void (*damage)(const fs::path& model);
  std::vector<std::string> texts;  // the error holds all of them
};

void PrintTo(const BadModel& bad, std::ostream* out) { *out << bad.name; }

const BadModel kBadModels[] = {
    {"Missing", [](const fs::path& model) { fs::remove_all(model); }, {"model: no such file or directory"}},
    {"FileOfGarbage",
     [](const fs::path& model) {
       fs::remove_all(model);
       write_text(model, "garbage");
     },
     {"model: expected a model directory"}},
    {"WithoutConfig",
     [](const fs::path& model) { fs::remove(model / "config.json"); },
     {"model/config.json", "No such file"}},
    {"ConfigCutShort",
     [](const fs::path& model) { cut_file(model / "config.json", 5); },
     {"model/config.json: invalid JSON"}},
    {"ConfigIsAnArray",
     [](const fs::path& model) { write_text(model / "config.json", "[1]"); },
     {"model/config.json: expected an object, got array"}},
    {"ConfigWithoutHiddenSize",
     [](const fs::path& model) { replace_in_file(model / "config.json", "\"hidden_size\"", "\"hidden\""); },
     {"model/config.json", "\"hidden_size\" is missing"}},
    {"UnknownModelType",
     [](const fs::path& model) { replace_in_file(model / "config.json", "\"qwen3\"", "\"mamba\""); },
     {"model/config.json: model_type", "expected one of llama", "\"mamba\""}},
    {"WithoutWeights",
     [](const fs::path& model) { fs::remove(model / "model.safetensors"); },
     {"model: expected model.safetensors", "found neither"}},
    {"WeightsEmpty",
     [](const fs::path& model) { write_text(model / "model.safetensors", ""); },
     {"model/model.safetensors: expected at least 8 bytes, got 0"}},
    {"WeightsCutShort",
     [](const fs::path& model) { cut_file(model / "model.safetensors", 100); },
     {"model/model.safetensors: tensor", "cut short"}},
    {"HeaderCutShort",
     [](const fs::path& model) { fs::resize_file(model / "model.safetensors", 500); },
     {"model/model.safetensors: expected a header of", "got 492", "cut short"}},
    {"WeightsOfAnotherFormat",
     [](const fs::path& model) { write_text(model / "model.safetensors", "PK\3\4 this is a zip archive"); },
     {"model/model.safetensors", "not a safetensors file"}},
    {"HeaderIsNoObject",
     [](const fs::path& model) { replace_in_file(model / "model.safetensors", "{", "["); },
     {"model/model.safetensors: expected a header that begins with '{'"}},
    {"NaN",
     [](const fs::path& model) {
       patch_f32(model / "model.safetensors", kTensor, kRow1Column5, std::numeric_limits<float>::quiet_NaN());
     },
     {"model: tensor", kTensor, "row 1, column 5 is NaN or infinite"}},
    {"Infinity",
     [](const fs::path& model) {
       patch_f32(model / "model.safetensors", kTensor, kRow1Column5, -std::numeric_limits<float>::infinity());
     },
     {"model: tensor", kTensor, "row 1, column 5 is NaN or infinite"}},
    {"NaNInANorm",
     [](const fs::path& model) {
       patch_f32(model / "model.safetensors", "model.norm.weight", 3, std::numeric_limits<float>::quiet_NaN());
     },
     {"model: tensor", "model.norm.weight", "element 3 is NaN or infinite"}},
    {"TensorMissing",
     [](const fs::path& model) {
       replace_in_file(model / "model.safetensors", kTensor, "model.layers.1.mlp.up_pro_.weight");
     },
     {kTensor, "is missing", "[24, 32]"}},
    {"TensorOfWrongShape",
     [](const fs::path& model) {
       const std::string entry = std::string("\"") + kTensor + "\":{\"dtype\":\"F32\",\"shape\":";
       replace_in_file(model / "model.safetensors", entry + "[24,32]", entry + "[32,24]");
     },
     {kTensor, "expected shape [24, 32], got [32, 24]"}},
    {"TokenizerMissing",
     [](const fs::path& model) { fs::remove(model / "tokenizer.json"); },
     {"model: no tokenizer.json"}},
    {"TokenizerCutShort",
     [](const fs::path& model) { cut_file(model / "tokenizer.json", 10); },
     {"model/tokenizer.json: invalid JSON"}},
    {"TokenizerWithoutModel",
     [](const fs::path& model) { write_text(model / "tokenizer.json", "{}"); },
     {"model/tokenizer.json", "\"model\" is missing"}},
    {"TokenizerOfALargerModel",
     [](const fs::path& model) { write_text(model / "tokenizer.json", tokenizer_json(96)); },
     {"the tokenizer does not match the model", "97 ids", "vocab_size is 96"}},
};

class BadModelTest : public testing::TestWithParam<BadModel> {};

TEST_P(BadModelTest, IsRefusedByEveryCommandAndLeavesNothing) {
  const Workplace workplace;
  GetParam().damage(workplace / "model");
  const auto before = workplace.files();
  for (const char* line : {"prune model -o out --calib calib.txt --samples 2 --seqlen 16", "eval model --text eval.txt",
                           "generate model --prompt abc --json"}) {
    SCOPED_TRACE(line);
    expect_refused(run_line(workplace.path(), line), GetParam().texts);
    expect_same_files(before, workplace.files());
  }
}

INSTANTIATE_TEST_SUITE_P(All, BadModelTest, testing::ValuesIn(kBadModels),
                         [](const auto& test) { return std::string(test.param.name); });

// inspect reads neither the configuration's meaning nor the tokenizer, but the weight files it does.
TEST(Inspect, RefusesDamagedWeightFiles) {
  for (const BadModel& bad : kBadModels) {
    const std::string name = bad.name;
    if (!name.starts_with("Weights") && !name.starts_with("Header") && name != "Missing" && name != "FileOfGarbage")
      continue;
    SCOPED_TRACE(name);
    const Workplace workplace;
    bad.damage(workplace / "model");
    expect_refused(run_line(workplace.path(), "inspect model"), bad.texts);
  }
}

// A packed model whose bits claim a third weight in a group.
TEST(PackedModel, WithDamagedBitmaskIsRefusedByName) {
  const Workplace workplace;
  expect_success(run_line(workplace.path(), "prune model -o out --recipe magnitude --json"));
  const fs::path weights = workplace / "out/model-00001-of-00003.safetensors";
  std::string content = read_text(weights);
  const std::string prefix = "model.layers.0.mlp.up_proj";
  const std::string key = "\"" + prefix + ".weight.nm_bitmask\":{\"dtype\":\"U8\",\"shape\":[24,4],\"data_offsets\":[";
  const size_t entry = content.find(key);
  ASSERT_NE(entry, std::string::npos);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, content.data(), sizeof(header_bytes));
  content[sizeof(header_bytes) + header_bytes + std::stoull(content.substr(entry + key.size(), 20))] = '\xff';
  write_text(weights, content);
  for (const char* line : {"eval out --text eval.txt", "generate out --prompt abc --json", "inspect out"}) {
    SCOPED_TRACE(line);
    expect_refused(run_line(workplace.path(), line), {"out: ", prefix + ".weight.nm_", "row 0"});
  }
}

TEST(UnreadableDirectory, IsRefusedByName) {
  const Workplace workplace;
  RunOptions options;
  options.as_nobody = geteuid() == 0;
  fs::permissions(workplace.path(), fs::perms::others_read | fs::perms::others_exec, fs::perm_options::add);
  fs::permissions(workplace / "model", fs::perms::none);
  const Outcome outcome = run_line(workplace.path(), "eval model --text eval.txt", options);
  fs::permissions(workplace / "model", fs::perms::owner_all);
  if (outcome.exit_code == kCannotStart) GTEST_SKIP() << "another user cannot run " << ESPARSE_BINARY;
  expect_refused(outcome, {"model/config.json", "Permission denied"});
}

}  // namespace
}  // namespace esparse

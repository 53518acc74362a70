// Recipes as a user meets them: the shipped ones, files of one's own, rules by layer name, and what is refused.
#include <gtest/gtest.h>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"
#include "io/json.h"
#include "io/tensor_store.h"
#include "sparse/bitmap_storage.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCalib = " --calib calib.txt --samples 3 --seqlen 24 --json ";

std::vector<std::string> shipped_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(fs::path(ESPARSE_SOURCE_DIR) / "recipes"))
    names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

Json parsed(const std::string& text) {
  auto json = parse_json(text, "standard output");
  EXPECT_TRUE(json.ok()) << json.status().message();
  return json.ok() ? *json : Json();
}

TEST(Recipes, AreListedAndShown) {
  const TempDir directory;
  const Outcome list = run_line(directory.path(), "recipes");
  expect_success(list);
  const Outcome json = run_line(directory.path(), "recipes --json");
  expect_success(json);
  const Json entries = parsed(json.out);
  ASSERT_EQ(entries.size(), shipped_names().size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string name = shipped_names()[i];
    EXPECT_EQ(entries[i].at("name"), name);
    EXPECT_FALSE(entries[i].at("summary").get<std::string>().empty());
    EXPECT_NE(list.out.find(entries[i].at("summary").get<std::string>()), std::string::npos) << list.out;
    const Outcome shown = run_line(directory.path(), "recipes " + name);
    expect_success(shown);
    EXPECT_EQ(shown.out, read_text(fs::path(ESPARSE_SOURCE_DIR) / "recipes" / (name + ".yaml")));
  }
  EXPECT_EQ(entries[0].at("recipe").at("saliency"), "obs") << "alps";
  expect_refused(run_line(directory.path(), "recipes nonsense"), {"recipe \"nonsense\"", "best", "wanda"});
}

TEST(Recipes, ThatAreShownCanBeUsedAgain) {
  const Workplace workplace("llama2-gqa-untied");
  for (const std::string& name : shipped_names()) {
    SCOPED_TRACE(name);
    const Outcome shown = run_line(workplace.path(), "recipes " + name);
    write_text(workplace / "mine" / (name + ".yaml"), shown.out);
    expect_success(run_line(workplace.path(), "prune model -o out --force --recipe " + name + kCalib));
    expect_success(run_line(workplace.path(), "prune model -o again --force --recipe mine/" + name + ".yaml" + kCalib));
    for (const std::string& file : entries_of(workplace / "out"))
      EXPECT_TRUE(read_text(workplace / "out" / file) == read_text(workplace / "again" / file)) << file;
  }
}

// Every refusal names file, line and setting, and leaves nothing.
struct BadRecipe {
  const char* name;
  const char* text;
  std::vector<std::string> texts;
};
void PrintTo(const BadRecipe& bad, std::ostream* out) { *out << bad.name; }

const BadRecipe kBadRecipes[] = {
    {"UnknownSetting", "saliency: wanda\npattern: 2:4\nsalience: 3\n", {"line 3", "unknown setting \"salience\""}},
    {"BadValue", "saliency: wanda\npattern: 2:4\n\nshuffle: riffle\n", {"line 4: shuffle", "\"riffle\""}},
    {"BadNumber", "saliency: obs\ndamping: lots\npattern: 2:4\n", {"line 2: damping", "\"lots\""}},
    {"BadModelSetting", "saliency: wanda\npattern: 2:4\nsequential: maybe\n", {"line 3: sequential", "\"maybe\""}},
    {"WithoutPattern", "saliency: wanda\n", {"'pattern' is missing"}},
    {"WithoutSaliency", "pattern: 2:4\n", {"'saliency' is missing"}},
    {"Empty", "", {"expected settings"}},
    {"AList", "- saliency\n- pattern\n", {"expected settings"}},
    {"AWord", "wanda\n", {"expected settings"}},
    {"NoYaml", "saliency: wanda\npattern: [2:4\n", {"line "}},
    {"Tabs", "saliency: wanda\n\tpattern: 2:4\n", {"line 2"}},
    {"ListOfValues", "saliency: wanda\npattern: [2, 4]\n", {"pattern: line 2", "one value"}},
    {"SettingTwice", "saliency: wanda\npattern: 2:4\nsaliency: obs\n", {"line 3", "saliency", "twice"}},
    {"LayersAreNoList", "saliency: wanda\npattern: 2:4\nlayers: all\n", {"layers: line 3", "list"}},
    {"LayersWithoutMatch",
     "saliency: wanda\npattern: 2:4\nlayers:\n  - pattern: dense\n",
     {"layers: line 4", "'match' is missing"}},
    {"LayersWithoutSettings",
     "saliency: wanda\npattern: 2:4\nlayers:\n  - match: \"*\"\n",
     {"layers: line 4", "no settings"}},
    {"LayersEntryIsAWord", "saliency: wanda\npattern: 2:4\nlayers:\n  - everything\n", {"layers: line 4", "'match'"}},
    {"LayersWithUnknownSetting",
     "saliency: wanda\npattern: 2:4\nlayers:\n  - match: \"*\"\n    patern: dense\n",
     {"line 5", "unknown setting \"patern\""}},
    {"LayersWithModelSetting",
     "saliency: wanda\npattern: 2:4\nlayers:\n  - match: \"*\"\n    allocation: owl\n",
     {"line 5", "allocation"}},
    {"LayersWithBadValue",
     "saliency: wanda\npattern: 2:4\nlayers:\n  - match: \"*\"\n    pattern: 4:2\n",
     {"line 5: pattern", "\"4:2\""}},
    {"RuleThatMatchesNothing",
     "saliency: wanda\npattern: 2:4\nshuffle: none\nlayers:\n  - match: \"*.qq_proj\"\n    pattern: dense\n",
     {"\"*.qq_proj\"", "no such linear", "model.layers.0.self_attn.q_proj"}},
    {"UnstructuredWithShuffle",
     "saliency: wanda\npattern: 50%\nshuffle: global\n",
     {"shuffle global", "50% has no groups"}},
    {"RuleMakesUnstructuredWithShuffle",
     "saliency: wanda\npattern: 2:4\nshuffle: global\nlayers:\n  - match: \"*.down_proj\"\n    pattern: 50%\n",
     {"\"*.down_proj\"", "shuffle global", "50% has no groups"}},
    {"BadFraction", "saliency: wanda\npattern: spense\ndense_fraction: 2\n", {"line 3: dense_fraction", "\"2\""}},
    {"BadSelection", "saliency: wanda\npattern: spense\nselection: best\n", {"line 3: selection", "\"best\""}},
    {"BadSpense", "saliency: wanda\npattern: spense:4:2\n", {"line 2: pattern", "spense[:FRACTION][:N:M]"}},
    {"RuleMakesOwlWithSpense",
     "saliency: wanda\npattern: spense\nallocation: owl\n",
     {"allocation owl", "spense:0.25 keeps the same share dense"}},
    {"DifferentFractionsAtOneInput",
     "saliency: wanda\npattern: spense\nlayers:\n  - match: \"*.up_proj\"\n    dense_fraction: 1/2\n",
     {"model.layers.0.mlp.up_proj", "must agree", "'dense_fraction' differs"}},
    {"DifferentFractionsOfNeurons",
     "saliency: wanda\npattern: spense\nlayers:\n  - match: \"*.down_proj\"\n    dense_fraction: 1/2\n",
     {"model.layers.0.mlp.down_proj", "share neurons", "'dense_fraction' differs"}},
    {"DifferentModesOfNeurons",
     "saliency: wanda\npattern: spense\nlayers:\n  - match: \"*.down_proj\"\n    spense_mode: per-matrix\n",
     {"model.layers.0.mlp.down_proj", "share neurons", "'spense_mode' differs"}},
    {"DifferentPatternsUnderOneShuffle",
     "saliency: wanda\npattern: 2:4\nshuffle: global\nlayers:\n  - match: \"*.v_proj\"\n    pattern: 4:8\n",
     {"model.layers.0", "attention", "must agree", "'pattern' differs"}},
    {"DifferentShufflesAtOneInput",
     "saliency: wanda\npattern: 2:4\nshuffle: none\nlayers:\n  - match: \"*.up_proj\"\n    shuffle: global\n",
     {"model.layers.0", "mlp", "must agree", "'shuffle' differs"}},
};

class BadRecipeTest : public testing::TestWithParam<BadRecipe> {};

TEST_P(BadRecipeTest, IsRefusedByNameAndLeavesNothing) {
  const Workplace workplace("llama2-gqa-untied");
  write_text(workplace / "mine.yaml", GetParam().text);
  const auto before = workplace.files();
  std::vector<std::string> texts = GetParam().texts;
  const std::string name = GetParam().name;
  // Whether the choices fit together is asked when the command line has had its say.
  if (name.find("Rule") == std::string::npos && name.find("Different") == std::string::npos &&
      name.find("WithShuffle") == std::string::npos)
    texts.push_back("mine.yaml: ");
  expect_refused(run_line(workplace.path(), "prune model -o out --recipe mine.yaml" + std::string(kCalib)), texts);
  expect_same_files(before, workplace.files());
}

INSTANTIATE_TEST_SUITE_P(All, BadRecipeTest, testing::ValuesIn(kBadRecipes),
                         [](const auto& test) { return std::string(test.param.name); });

// Tensor -> its format in `inspect`, weights of the blocks alone, without the beginning "model.layers.".
std::map<std::string, std::string> formats(const Workplace& workplace) {
  const Outcome outcome = run_line(workplace.path(), "inspect out --json");
  expect_success(outcome);
  std::map<std::string, std::string> found;
  const Json inventory = parsed(outcome.out);
  for (const Json& tensor : inventory.at("tensors")) {
    const auto name = tensor.at("name").get<std::string>();
    const size_t end = name.find("_proj");
    if (name.starts_with("model.layers.") && end != std::string::npos)
      found[name.substr(13, end - 13)] = tensor.at("format").get<std::string>();
  }
  return found;
}

// Linear -> pattern in esparse.json, without the beginning "model.layers." and the ending "_proj".
std::map<std::string, std::string> patterns(const Workplace& workplace) {
  std::map<std::string, std::string> found;
  const Json report = parsed(read_text(workplace / "out/esparse.json"));
  for (const Json& linear : report.at("linears")) {
    const auto name = linear.at("name").get<std::string>();
    found[name.substr(13, name.find("_proj") - 13)] = linear.at("pattern").get<std::string>();
  }
  return found;
}

void expect_evaluates(const Workplace& workplace) {
  const Outcome outcome = run_line(workplace.path(), "eval out --text eval.txt --context 32 --json");
  expect_success(outcome);
  EXPECT_GT(parsed(outcome.out).at("perplexity").get<double>(), 1);
}

const std::vector<std::string> kLinears = {"self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o",
                                           "mlp.gate",    "mlp.up",      "mlp.down"};

TEST(Rules, DecideByLayerName) {
  const Workplace workplace("llama2-gqa-untied");
  write_text(workplace / "mine.yaml",
             "summary: a bit of everything\n"
             "saliency: wanda\n"
             "pattern: 2:4\n"
             "shuffle: none\n"
             "layers:\n"
             "  - match: model.layers.1.mlp.*\n"
             "    pattern: 4:8\n"
             "  - match: \"*.o_proj\"\n"
             "    pattern: dense\n"
             "  - match: \"*.k_proj\"\n"
             "    pattern: 50%\n"
             "  - match: model.layers.0.*\n"
             "    pattern: dense\n");
  expect_success(run_line(workplace.path(), "prune model -o out --recipe mine.yaml" + std::string(kCalib)));
  for (const std::string& linear : kLinears) {
    SCOPED_TRACE(linear);
    const std::string expected = linear == "self_attn.o"      ? "dense"
                                 : linear == "self_attn.k"    ? "50%"
                                 : linear.starts_with("mlp.") ? "4:8"
                                                              : "2:4";
    EXPECT_EQ(patterns(workplace)["0." + linear], "dense") << "later rules win";
    EXPECT_EQ(patterns(workplace)["1." + linear], expected);
    EXPECT_EQ(formats(workplace)["0." + linear], "F32");
    const std::string format = expected == "dense" ? "F32" : expected == "50%" ? "bitmap F32" : expected + " F32";
    EXPECT_EQ(formats(workplace)["1." + linear], format);
  }
  const Json recipe = parsed(read_text(workplace / "out/esparse.json")).at("recipe");
  EXPECT_EQ(recipe.at("name"), "mine");
  ASSERT_EQ(recipe.at("layers").size(), 4u);
  EXPECT_EQ(recipe.at("layers")[1], Json({{"match", "*.o_proj"}, {"pattern", "dense"}}));
  expect_evaluates(workplace);
}

// Rows of gate and up, columns of down and of attention; the bytes add up, and the report tells what is dense.
TEST(Spense, IsStoredByRegions) {
  const Workplace workplace("llama2-gqa-untied");  // hidden 48, ffn 56, 4 heads of 12
  for (const auto& [mode, mlp] : {std::pair{"neuron-aligned", "spense 2:4 + 14 dense rows F32"},
                                  {"per-matrix", "spense 2:4 + 12 dense columns F32"}}) {
    SCOPED_TRACE(mode);
    expect_success(run_line(
        workplace.path(),
        "prune model -o out --force --recipe wanda --pattern spense --spense-mode " + std::string(mode) + kCalib));
    EXPECT_EQ(formats(workplace)["1.mlp.gate"], mlp);
    EXPECT_EQ(formats(workplace)["1.mlp.up"], mlp);
    EXPECT_EQ(formats(workplace)["0.mlp.down"], "spense 2:4 + 14 dense columns F32");
    EXPECT_EQ(formats(workplace)["0.self_attn.q"], "spense 2:4 + 12 dense columns F32");
    EXPECT_EQ(formats(workplace)["0.self_attn.o"], "spense 2:4 + 12 dense columns F32");
    EXPECT_EQ(patterns(workplace)["1.mlp.up"], "spense:0.25");
    const Json report = parsed(read_text(workplace / "out/esparse.json"));
    EXPECT_EQ(report.at("recipe").at("spense_mode"), mode);
    const Json& down = report.at("linears")[6];
    EXPECT_EQ(down.at("spense"), Json({{"split", "columns"}, {"pattern", "2:4"}, {"dense", 14}}));
    // 48 rows of 42 columns at 2:4 (20 of the whole groups, one of the tail of two) and 14 dense ones.
    EXPECT_EQ(down.at("bytes"), 48 * (21 * 4 + 6 + 14 * 4));
    expect_evaluates(workplace);
  }
}

// The bytes of a spared linear are those of the source.
TEST(Rules, SparedLinearsKeepTheirBits) {
  const Workplace workplace("llama-bf16");
  write_text(workplace / "mine.yaml",
             "saliency: obs\npattern: 2:4\nshuffle: global+local\nupdate: refit+obs+descent\nlayers:\n"
             "  - match: \"*.o_proj\"\n    pattern: dense\n  - match: \"*.down_proj\"\n    pattern: dense\n");
  expect_success(run_line(workplace.path(), "prune model -o out --recipe mine.yaml" + std::string(kCalib)));
  auto before = TensorStore::open_directory(workplace / "model");
  auto after = TensorStore::open_directory(workplace / "out");
  ASSERT_TRUE(before.ok() && after.ok());
  for (const std::string name : {"model.layers.0.self_attn.o_proj.weight", "model.layers.1.mlp.down_proj.weight"}) {
    const TensorInfo *dense = before->find(name), *spared = after->find(name);
    ASSERT_TRUE(dense != nullptr && spared != nullptr) << name;
    EXPECT_TRUE(std::ranges::equal(dense->data, spared->data)) << name;
  }
  expect_evaluates(workplace);
}

TEST(Options, OverrideTheRecipe) {
  const Workplace workplace("llama2-gqa-untied");
  expect_success(
      run_line(workplace.path(), "prune model -o out --recipe best --pattern 4:8 --update none --shuffle none" +
                                     std::string(kCalib) + "--damping 0.5"));
  const Json recipe = parsed(read_text(workplace / "out/esparse.json")).at("recipe");
  EXPECT_EQ(recipe.at("pattern"), "4:8");
  EXPECT_EQ(recipe.at("update"), "none");
  EXPECT_EQ(recipe.at("shuffle"), "none");
  EXPECT_EQ(recipe.at("damping"), 0.5);
  EXPECT_EQ(recipe.at("name"), "best");
  EXPECT_FALSE(recipe.contains("sweeps")) << "nothing descends";
  EXPECT_EQ(formats(workplace)["1.mlp.up"], "4:8 F32");
  // A recipe that is refused by itself can be put right.
  write_text(workplace / "half.yaml", "saliency: magnitude\npattern: 50%\nshuffle: global\n");
  expect_success(run_line(workplace.path(), "prune model -o fixed --json --recipe half.yaml --shuffle none"));
}

// Exactly the share asked for is removed: in every row, or in every linear.
TEST(Unstructured, RemovesExactlyItsShare) {
  for (const auto& [options, removed] :
       std::vector<std::pair<std::string, double>>{{"--recipe wanda --pattern 50%", 0.5},
                                                   {"--recipe magnitude --pattern 25%", 0.25},
                                                   {"--recipe wanda --pattern 50% --scope layer", 0.5},
                                                   {"--recipe wanda --pattern 50% --update dsnot", 0.5},
                                                   {"--recipe sparsegpt --pattern 50%", 0.5},
                                                   {"--recipe alps --pattern 50% --scope layer", 0.5}}) {
    SCOPED_TRACE(options);
    const Workplace workplace("llama2-gqa-untied");
    expect_success(run_line(workplace.path(), "prune model -o out " + options + kCalib));
    auto store = TensorStore::open_directory(workplace / "out");
    ASSERT_TRUE(store.ok());
    int linears = 0;
    for (const auto& [name, tensor] : store->tensors()) {
      if (!name.ends_with("_proj.weight.bitmap_values")) continue;
      ++linears;
      const auto loaded = load_bitmap(*store, name.substr(0, name.find(".weight")));
      ASSERT_TRUE(loaded.ok()) << loaded.status().message();
      const int64_t rows = loaded->view.out_features, columns = loaded->view.in_features;
      EXPECT_EQ(rows * columns - loaded->view.kept(),
                static_cast<int64_t>(removed * static_cast<double>(rows * columns)))
          << name;
      const bool by_row = options.starts_with("--recipe wanda") && options.find("layer") == std::string::npos;
      for (int64_t row = 0; by_row && row < rows; ++row)
        EXPECT_EQ((loaded->row_offsets[row + 1] - loaded->row_offsets[row]) * 2, columns) << name << " row " << row;
    }
    EXPECT_EQ(linears, 14);
    expect_evaluates(workplace);
  }
}

// A bitmap where that is smaller: with 16-bit weights not before more than 1/16 is removed, and the bits of a row fill
// whole bytes.
TEST(Unstructured, IsStoredAsABitmapWhereThatIsSmaller) {
  const Workplace workplace("llama-bf16");
  for (const auto& [pattern, format] : {std::pair{"5%", "BF16"}, {"15%", "bitmap BF16"}, {"70%", "bitmap BF16"}}) {
    SCOPED_TRACE(pattern);
    expect_success(run_line(
        workplace.path(), "prune model -o out --force --recipe magnitude --pattern " + std::string(pattern) + kCalib));
    EXPECT_EQ(formats(workplace)["1.mlp.up"], format);
    EXPECT_EQ(formats(workplace)["0.self_attn.o"], format);
    expect_evaluates(workplace);
  }
}

// OWL: blocks differ, their mean is what was asked for.
TEST(Allocation, KeepsTheMean) {
  const Workplace workplace("llama2-gqa-untied");
  expect_success(
      run_line(workplace.path(), "prune model -o out --recipe owl-wanda --owl-threshold 2" + std::string(kCalib)));
  const Json report = parsed(read_text(workplace / "out/esparse.json"));
  const Json& allocation = report.at("allocation");
  ASSERT_EQ(allocation.at("pattern").size(), 2u);
  double sum = 0;
  for (const Json& pattern : allocation.at("pattern")) sum += std::stod(pattern.get<std::string>());
  EXPECT_NEAR(sum, 100, 1e-6);
  EXPECT_NE(allocation.at("pattern")[0], allocation.at("pattern")[1]);
  EXPECT_EQ(report.at("linears")[0].at("pattern"), allocation.at("pattern")[0]);
  EXPECT_EQ(report.at("linears")[7].at("pattern"), allocation.at("pattern")[1]);
  expect_evaluates(workplace);
}

// Each shipped recipe on each family, through to a perplexity.
TEST(Recipes, AllGiveModelsThatRun) {
  for (const char* golden : {"opt-prenorm", "qwen3", "llama-bf16"}) {
    const Workplace workplace(golden);
    for (const std::string& name : shipped_names()) {
      SCOPED_TRACE(std::string(golden) + " " + name);
      expect_success(run_line(workplace.path(), "prune model -o out --force --recipe " + name + kCalib));
      expect_evaluates(workplace);
    }
  }
}

TEST(MemoryBudget, IsKeptByGatheringOneSiteAtATime) {
  const Workplace workplace("llama2-gqa-untied");
  const std::string line = "prune model -o out --force --recipe sparsegpt" + std::string(kCalib);
  expect_success(run_line(workplace.path(), line));
  const std::string expected = read_text(workplace / "out/model-00002-of-00003.safetensors");
  for (const char* budget : {"8GiB", "100000M", "1tb"}) {
    expect_success(run_line(workplace.path(), line + "--memory-budget " + budget));
    EXPECT_TRUE(expected == read_text(workplace / "out/model-00002-of-00003.safetensors"));
  }
}

}  // namespace
}  // namespace esparse

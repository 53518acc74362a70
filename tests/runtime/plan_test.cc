// The algorithm search and its cache: what it may choose, when it measures again, and what a damaged cache does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "base/parallel.h"
#include "io/checkpoint.h"
#include "io/json.h"
#include "kernels/isa.h"
#include "runtime/kernel_names.h"
#include "runtime/model_plan.h"
#include "runtime/plan_file.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

// Every kind of weight counts, and nothing is measured twice.
constexpr PlanSearchOptions kQuick{.budget_seconds = 60, .repetitions = 1, .min_elements = 0};

std::unique_ptr<Model> load_model() {
  auto checkpoint = open_checkpoint(fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models/llama2-gqa-untied");
  auto model = Model::load(std::move(checkpoint).value());
  EXPECT_OK(model);
  return std::move(model).value();
}

// Keeps the first two of every four, which makes no good model but a valid one. `split`: as Spense.
void pack(LinearLayer& layer, std::optional<SpenseSplit> split) {
  Matrix<float> weight = layer.weight_as_f32();
  for (int64_t row = 0; row < weight.rows(); ++row)
    for (int64_t column = 0; column < weight.cols(); ++column)
      if (column % 4 >= 2) weight(row, column) = 0;
  std::vector<std::byte> bytes(weight.values().size() * dtype_bytes(layer.dtype()));
  convert_from_f32(layer.dtype(), weight.values(), bytes.data());
  if (split) {
    const SpenseLayout layout{*split, {2, 4}, 32};
    auto packed = pack_spense(layout, layer.dtype(), bytes, weight.rows(), weight.cols());
    ASSERT_OK(packed);
    return layer.set_packed(*packed);
  }
  auto packed = pack_nm({2, 4}, layer.dtype(), bytes, weight.rows(), weight.cols());
  ASSERT_OK(packed);
  layer.set_packed(*packed);
}

// The second block is packed, its feed-forward part as Spense; the first is dense.
std::unique_ptr<Model> mixed_model() {
  auto model = load_model();
  DecoderBlock& block = model->blocks()[1];
  for (const InputSite site : kInputSites)
    for (LinearLayer* layer : block.linears_at(site)) {
      const bool rows = layer == &block.gate || layer == &block.up, columns = layer == &block.down;
      pack(*layer, rows ? std::optional(SpenseSplit::out) : columns ? std::optional(SpenseSplit::in) : std::nullopt);
    }
  model->arrange_for_running();
  return model;
}

Matrix<float> logits_of(const Model& model) {
  std::vector<int32_t> tokens(40);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 7 % 90);
  KvCache cache = model.make_cache(64);
  auto hidden = model.forward(tokens, cache);  // many tokens, then one
  EXPECT_OK(hidden);
  hidden = model.forward({tokens.data(), 1}, cache);
  Matrix<float> logits(1, model.config().vocab_size);
  model.logits(hidden->view(), logits.view());
  return logits;
}

bool contains(const std::vector<LinearPath>& paths, LinearPath path) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

TEST(PlanSearch, ChoosesPossiblePathsForEveryKindAndBucket) {
  const auto model = mixed_model();
  PlanTable table;
  const int64_t missing = missing_choices(*model, table, kQuick);
  EXPECT_GT(missing, 0);
  EXPECT_EQ(missing % static_cast<int64_t>(kTokenBuckets.size()), 0);
  search_plans(*model, kQuick, table);
  EXPECT_EQ(missing_choices(*model, table, kQuick), 0);
  EXPECT_EQ(static_cast<int64_t>(table.size() * kTokenBuckets.size()), missing);
  for (const LinearLayer* layer : block_linears(*model)) {
    const KindPlan* plan = find_plan(table, kind_of(*layer));
    ASSERT_NE(plan, nullptr);
    for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket) {
      ASSERT_TRUE(plan->choices[bucket].has_value());
      const PlanChoice& choice = *plan->choices[bucket];
      const int64_t tokens = std::min<int64_t>(kTokenBuckets[bucket], 100);
      EXPECT_TRUE(contains(possible_paths(layer->weight(), tokens), choice.path));
      EXPECT_EQ(choice.has_ratio(), layer->is_packed());
    }
  }
}

TEST(PlanSearch, MeasuresOnlyWhatIsMissing) {
  const auto model = mixed_model();
  PlanTable table;
  search_plans(*model, kQuick, table);
  table[0].choices[2]->seconds = 123;
  const LinearPath before = table[1].choices[5]->path;
  table[1].choices[5].reset();
  EXPECT_EQ(missing_choices(*model, table, kQuick), 1);
  search_plans(*model, kQuick, table);
  EXPECT_EQ(table[0].choices[2]->seconds, 123);
  ASSERT_TRUE(table[1].choices[5].has_value());
  EXPECT_EQ(table[1].choices[5]->path, before) << "the only possible one";
}

TEST(PlanSearch, LeavesSmallWeightsAndWhatTheTimeDoesNotAllow) {
  const auto model = mixed_model();
  PlanTable table;
  EXPECT_EQ(missing_choices(*model, table, PlanSearchOptions()), 0) << "all weights are small";
  search_plans(*model, PlanSearchOptions(), table);
  EXPECT_TRUE(table.empty());
  PlanSearchOptions no_time = kQuick;
  no_time.budget_seconds = 0;
  search_plans(*model, no_time, table);
  for (const KindPlan& plan : table)
    for (const auto& choice : plan.choices) EXPECT_FALSE(choice.has_value());
}

TEST(ApplyPlans, SetsPossiblePathsAndPassesOverOthers) {
  const auto model = mixed_model();
  LinearLayer& q = model->blocks()[1].q;
  const LinearPlan before = q.plan();
  KindPlan plan{kind_of(q), {}};
  plan.choices[0] = PlanChoice{LinearPath::dense_gemm, 1, LinearPath::few, 1};
  plan.choices[5] = PlanChoice{LinearPath::few, 1, LinearPath::few, 1};  // beyond kMaxFewTokens
  apply_plans({plan}, *model);
  EXPECT_EQ(q.plan().paths[0], LinearPath::dense_gemm);
  EXPECT_EQ(q.plan().paths[1], before.paths[1]);
  EXPECT_EQ(q.plan().paths[5], before.paths[5]);
  EXPECT_EQ(model->blocks()[0].q.plan(), default_plan(model->blocks()[0].q.weight())) << "another kind";
}

// f32 sums in another order: the models' values are near 1 and sums have at most a few hundred terms.
TEST(ApplyPlans, ChangeNothingBeyondRounding) {
  const auto model = mixed_model();
  const Matrix<float> expected = logits_of(*model);
  for (const bool dense : {false, true}) {
    PlanTable table;
    for (const LinearLayer* layer : block_linears(*model)) {
      KindPlan plan{kind_of(*layer), {}};
      for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket) {
        const auto paths = possible_paths(layer->weight(), std::min<int64_t>(kTokenBuckets[bucket], 100));
        plan.choices[bucket] = PlanChoice{dense ? paths.back() : paths.front(), 1, LinearPath::few, 1};
      }
      table.push_back(plan);
    }
    apply_plans(table, *model);
    const Matrix<float> logits = logits_of(*model);
    double largest = 0;
    for (const float value : expected.values()) largest = std::max<double>(largest, std::abs(value));
    for (int64_t i = 0; i < logits.cols(); ++i) EXPECT_NEAR(logits(0, i), expected(0, i), 1e-4 * largest);
  }
}

const PlanKey kKey{"Some CPU", "avx9", 3, "0123456789abcdef"};

PlanTable some_table() {
  KindPlan tiles{{"2:4 tiles", DType::bf16, 4096, 11008}, {}};
  tiles.choices[0] = PlanChoice{LinearPath::few, 0.001, LinearPath::few, 0.00175};
  tiles.choices[5] = PlanChoice{LinearPath::sparse_gemm, 0.25, LinearPath::dense_gemm, 1.0 / 3};
  KindPlan dense{{"dense", DType::f32, 7, 9}, {}};
  dense.choices[3] = PlanChoice{LinearPath::dense_gemm, 0, LinearPath::dense_gemm, 0};
  return {tiles, dense};
}

void expect_same(const PlanTable& a, const PlanTable& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].kind, b[i].kind);
    EXPECT_EQ(a[i].choices, b[i].choices);
  }
}

class PlanFile : public testing::Test {
 protected:
  PlanTable read(const PlanKey& key) {
    auto table = read_plan_file(path_, key);
    EXPECT_OK(table);
    return table.ok() ? *table : PlanTable();
  }
  const TempDir directory_;
  const fs::path path_ = directory_ / "cache/esparse/plans.json";
};

TEST_F(PlanFile, KeepsWhatWasWritten) {
  EXPECT_TRUE(read(kKey).empty()) << "no file yet";
  EXPECT_OK(write_plan_file(path_, kKey, some_table()));
  expect_same(read(kKey), some_table());
  EXPECT_EQ(entries_of(path_.parent_path()), std::vector<std::string>{"plans.json"}) << "nothing left behind";
}

TEST_F(PlanFile, IsForOneKeyOnly) {
  EXPECT_OK(write_plan_file(path_, kKey, some_table()));
  PlanKey cpu = kKey, isa = kKey, threads = kKey, binary = kKey;
  cpu.cpu = "Other CPU";
  isa.isa = "avx2";
  threads.threads = 2;
  binary.binary = "fedcba9876543210";
  for (const PlanKey& other : {cpu, isa, threads, binary}) EXPECT_TRUE(read(other).empty());
  EXPECT_OK(write_plan_file(path_, cpu, {some_table()[1]}));
  expect_same(read(kKey), some_table());
  expect_same(read(cpu), {some_table()[1]});
  EXPECT_OK(write_plan_file(path_, binary, {some_table()[0]}));
  EXPECT_TRUE(read(kKey).empty()) << "the table of an old binary is replaced";
  expect_same(read(binary), {some_table()[0]});
  expect_same(read(cpu), {some_table()[1]});
}

TEST_F(PlanFile, DoesNotGrowWithoutEnd) {
  PlanKey key = kKey;
  for (key.threads = 1; key.threads <= 40; ++key.threads) EXPECT_OK(write_plan_file(path_, key, some_table()));
  EXPECT_EQ(parse_json(read_text(path_), "")->at("tables").size(), 32u);
  key.threads = 40;
  EXPECT_EQ(read(key).size(), 2u);
  key.threads = 1;
  EXPECT_TRUE(read(key).empty()) << "the oldest goes";
}

TEST_F(PlanFile, OfAnotherVersionIsAsIfThereWereNone) {
  EXPECT_OK(write_plan_file(path_, kKey, some_table()));
  Json document = *parse_json(read_text(path_), "");
  document["version"] = 2;
  write_text(path_, document.dump());
  EXPECT_TRUE(read(kKey).empty());
  EXPECT_OK(write_plan_file(path_, kKey, some_table()));
  expect_same(read(kKey), some_table());
}

TEST_F(PlanFile, DamageIsReportedAndRepaired) {
  EXPECT_OK(write_plan_file(path_, kKey, some_table()));
  const std::string good = read_text(path_);
  const Json document = *parse_json(good, "");
  std::vector<std::string> damaged = {"",
                                      "{",
                                      "[]",
                                      "{}",
                                      R"({"version": 1})",
                                      R"({"version": 1, "tables": 5})",
                                      R"({"version": 1, "tables": [5]})",
                                      R"({"version": 1, "tables": [{"key": 1}]})",
                                      good.substr(0, good.size() / 2)};
  const auto with = [&](const char* pointer, const Json& value) {
    Json changed = document;
    changed[Json::json_pointer(pointer)] = value;
    damaged.push_back(changed.dump());
  };
  with("/tables/0/weights/0/dtype", "I8");
  with("/tables/0/weights/0/form", 5);
  with("/tables/0/weights/0/in_features", "many");
  with("/tables/0/weights/0/choices/0/path", "magic");
  with("/tables/0/weights/0/choices/0/seconds", -1);
  with("/tables/0/weights/0/choices/0/bucket", 6);
  with("/tables/0/weights/0/choices/0", 7);
  with("/tables/0/weights", 7);
  for (const std::string& text : damaged) {
    write_text(path_, text);
    EXPECT_FAILURE(read_plan_file(path_, kKey), StatusKind::corruption, "plans.json") << text;
    EXPECT_OK(write_plan_file(path_, kKey, some_table()));
    expect_same(read(kKey), some_table());
  }
}

TEST_F(PlanFile, ThatCannotBeWrittenIsAnError) {
  write_text(directory_ / "cache", "a file where the directory should be");
  EXPECT_FAILURE(write_plan_file(path_, kKey, some_table()), StatusKind::io, "plans.json");
}

TEST(PlanFileName, ComesFromTheEnvironment) {
  const auto with = [](const char* cache, const char* home) {
    cache == nullptr ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", cache, 1);
    home == nullptr ? unsetenv("HOME") : setenv("HOME", home, 1);
    return default_plan_file();
  };
  EXPECT_EQ(with("/some/cache", "/home/me"), "/some/cache/esparse/plans.json");
  EXPECT_EQ(with(nullptr, "/home/me"), "/home/me/.cache/esparse/plans.json");
  EXPECT_EQ(with("", "/home/me"), "/home/me/.cache/esparse/plans.json");
  EXPECT_EQ(with("relative", "/home/me"), "/home/me/.cache/esparse/plans.json") << "as the XDG specification asks";
  EXPECT_EQ(with(nullptr, nullptr), "");
}

TEST(PlanKey, NamesThisMachineAndBinary) {
  const auto key = this_plan_key();
  ASSERT_OK(key);
  EXPECT_EQ(key->isa, isa_name(current_isa()));
  EXPECT_EQ(key->threads, thread_count());
  EXPECT_EQ(key->binary.size(), 16u);
  EXPECT_EQ(*this_plan_key(), *key);
}

TEST(ModelPlan, IsMeasuredOnceAndThenRead) {
  const TempDir directory;
  const fs::path cache = directory / "plans.json";
  int searches = 0;
  const auto plan = [&](Model& model) {
    return plan_model(model, cache, kQuick, [&](int64_t choices) { searches += choices > 0; });
  };
  const auto first_model = mixed_model(), second_model = mixed_model();
  const ModelPlan first = plan(*first_model);
  EXPECT_EQ(searches, 1);
  const ModelPlan second = plan(*second_model);
  EXPECT_EQ(searches, 1);
  expect_same(first.table, second.table);
  EXPECT_TRUE(first.warnings.empty() && second.warnings.empty());
  for (size_t i = 0; i < block_linears(*first_model).size(); ++i)
    EXPECT_EQ(block_linears(*first_model)[i]->plan(), block_linears(*second_model)[i]->plan());
}

TEST(ModelPlan, WorksWithoutAUsableCache) {
  const TempDir directory;
  write_text(directory / "damaged.json", "{");
  write_text(directory / "file", "");
  const auto model = mixed_model();
  const auto plan = [&](const fs::path& cache) { return plan_model(*model, cache, kQuick, [](int64_t) {}); };
  EXPECT_TRUE(plan("").warnings.empty());
  for (const fs::path& cache : {directory / "damaged.json", directory / "file/plans.json"}) {
    const ModelPlan result = plan(cache);
    ASSERT_EQ(result.warnings.size(), 1u) << cache;
    EXPECT_NE(result.warnings[0].message().find(cache.filename().string()), std::string::npos);
    EXPECT_EQ(missing_choices(*model, result.table, kQuick), 0);
  }
  EXPECT_TRUE(plan(directory / "damaged.json").warnings.empty()) << "it was replaced";
}

TEST(KernelNames, SayFormPathAndInstructionSet) {
  const auto model = mixed_model();
  const std::string isa(isa_name(current_isa()));
  EXPECT_EQ(kernel_name(model->blocks()[0].q.weight(), LinearPath::few), "few dense " + isa);
  EXPECT_EQ(kernel_name(model->blocks()[0].q.weight(), LinearPath::dense_gemm), "dense-gemm dense " + isa);
  const std::string form = weight_form(model->blocks()[1].q.weight());
  EXPECT_EQ(form.rfind("2:4", 0), 0u);
  EXPECT_EQ(kernel_name(model->blocks()[1].q.weight(), LinearPath::dense_gemm), "dense-gemm on " + form + " " + isa);
  EXPECT_TRUE(weight_form(model->blocks()[1].up.weight()).ends_with(" + 32 dense rows"));
  EXPECT_TRUE(weight_form(model->blocks()[1].down.weight()).ends_with(" + 32 dense columns"));
}

}  // namespace
}  // namespace esparse

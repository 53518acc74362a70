// The search on whole (tiny) models: what it promises is what it measures, budgets are kept, and what was found is the
// same however often it was interrupted.
#include "search/budget_search.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/parallel.h"
#include "prune/golden_models.h"
#include "search/budget_report.h"
#include "search/model_measure.h"

namespace esparse {
namespace {

class BudgetSearchTest : public testing::Test {
 protected:
  BudgetSearch make_search(const std::vector<std::string>& budgets, const std::string& name = "llama-tied") const {
    BudgetSearch search;
    search.open_dense = [name]() -> Result<std::unique_ptr<Model>> { return load_golden(name); };
    search.recipe = make_recipe("obs", "2:4", "none");
    EXPECT_OK(search.recipe.set("update", "obs"));
    search.budget = Budget::parse(budgets).value();
    search.candidates = parse_candidates("6:8,2:4,spense:1/4").value();
    const auto dense = load_golden(name);
    search.prune.windows = random_windows(*dense, 6, 1);
    search.prune.facts = Json::object();
    search.prune.tokenizer_file = tokenizer_;
    search.held_out = random_windows(*dense, 4, 2);
    search.directory = scratch_.path();
    return search;
  }
  BudgetResult run(const BudgetSearch& search) const {
    auto result = search_budget(search);
    EXPECT_TRUE(result.ok()) << result.status().message();
    return std::move(result).value();
  }
  static const ModelPoint& best_of(const BudgetResult& result) { return result.attempts[*result.best]; }

  void SetUp() override { write_text(tokenizer_, "stands for a tokenizer"); }

  const TempDir scratch_, side_;
  const std::filesystem::path tokenizer_ = side_.path() / "tokenizer.model";
};

TEST_F(BudgetSearchTest, KeepsABudgetOfBytes) {
  const BudgetSearch search = make_search({"bytes<=0.8x"});
  const BudgetResult result = run(search);
  ASSERT_TRUE(result.met) << result.verdict;
  const MeasuredModel& measured = *best_of(result).measured;
  EXPECT_LE(static_cast<double>(measured.bytes), 0.8 * result.dense.bytes);
  // The file is there and holds what was said. Foretold are its tensors too, with orders that may not be needed.
  const auto store = TensorStore::open_directory(result.model);
  ASSERT_OK(store);
  EXPECT_EQ(tensor_bytes(*store), measured.bytes);
  EXPECT_LE(static_cast<double>(measured.bytes), best_of(result).sums.bytes);
  EXPECT_GT(static_cast<double>(measured.bytes), 0.98 * best_of(result).sums.bytes);
  // Nothing on the front that fits is forecast to lose less.
  for (const ModelPoint& point : result.front)
    EXPECT_TRUE(point.sums.bytes > 0.8 * result.dense.bytes || point.sums.loss >= best_of(result).sums.loss);
}

// The loss of every uniform model that was measured; a budget in the middle of them, which some keep and some do not.
TEST_F(BudgetSearchTest, KeepsABudgetOfLossWithFewerBytesThanAnyUniformModel) {
  BudgetSearch search = make_search({"kl<=1"});
  const BudgetResult probe = run(search);
  double low = INFINITY, high = 0;
  for (const ModelPoint& point : probe.uniform)
    if (point.measured)
      low = std::min(low, point.measured->divergence.kl), high = std::max(high, point.measured->divergence.kl);
  ASSERT_LT(low, high);
  const double limit = std::sqrt(low * high);
  for (const bool as_perplexity : {false, true}) {
    search.budget = {};
    as_perplexity ? search.budget.ppl_rise = 0.5 * std::expm1(limit) : search.budget.kl = limit;
    const BudgetResult result = run(search);
    ASSERT_TRUE(result.met) << result.verdict;
    const HeldOutLoss& got = best_of(result).measured->divergence;
    EXPECT_TRUE(as_perplexity ? std::expm1(got.nll_rise) <= *search.budget.ppl_rise : got.kl <= limit);
    for (const ModelPoint& point : result.uniform) {
      if (!point.measured || (!as_perplexity && point.measured->divergence.kl > limit)) continue;
      if (as_perplexity && std::expm1(point.measured->divergence.nll_rise) > *search.budget.ppl_rise) continue;
      EXPECT_LE(best_of(result).sums.bytes, point.sums.bytes) << point.name << " keeps the budget too";
    }
  }
}

TEST_F(BudgetSearchTest, TellsHowCloseAnImpossibleBudgetCame) {
  for (const std::vector<std::string>& budgets :
       {std::vector<std::string>{"bytes<=0.1x"}, {"kl<=0.000001", "bytes<=0.7x"}}) {
    const BudgetResult result = run(make_search(budgets));
    EXPECT_FALSE(result.met);
    EXPECT_EQ(result.verdict.rfind("not kept, the closest model:", 0), 0u) << result.verdict;
    EXPECT_TRUE(best_of(result).measured.has_value());
  }
  const BudgetResult smallest = run(make_search({"bytes<=0.1x"}));
  for (const ModelPoint& point : smallest.front) EXPECT_GE(point.sums.bytes, best_of(smallest).sums.bytes);
}

// A speedup that everything has is kept without any pruning to speak of; the verdict names the measured one.
TEST_F(BudgetSearchTest, MeasuresTheSpeedItPromises) {
  BudgetSearch search = make_search({"speedup>=1.3"});
  search.most_attempts = 1;
  const BudgetResult result = run(search);
  const MeasuredModel& measured = *best_of(result).measured;
  ASSERT_TRUE(measured.speedup.has_value());
  EXPECT_GT(*measured.speedup, 0);
  EXPECT_EQ(result.met, *measured.speedup >= 1.3);
  EXPECT_NE(result.verdict.find("speedup"), std::string::npos);
  EXPECT_TRUE(budget_json(search, result).at("attempts")[0].contains("speedup"));
}

TEST_F(BudgetSearchTest, ReportsWithoutTimesWhereNoneMatter) {
  const BudgetSearch search = make_search({"bytes<=0.8x"});
  const BudgetResult result = run(search);
  const Json json = budget_json(search, result);
  EXPECT_EQ(json.at("budget"), "bytes<=0.8x");
  EXPECT_EQ(json.at("met"), true);
  EXPECT_EQ(json.at("uniform").size(), 3u);
  EXPECT_EQ(json.dump().find("seconds"), std::string::npos);
  EXPECT_EQ(json.dump().find("speedup"), std::string::npos);
  const std::string text = budget_text(result);
  for (const char* part : {"dense", "uniform 2:4", "searched", "<- chosen", "feed-forward", "kept: bytes 0."})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

TEST_F(BudgetSearchTest, SameModelForAnyThreadCountAndAfterAnInterruption) {
  BudgetSearch search = make_search({"bytes<=0.75x"});
  Json first;
  std::string weights;
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    const TempDir directory;
    search.directory = directory.path();
    const BudgetResult result = run(search);
    const std::string here = read_text(result.model / "model-00001-of-00003.safetensors");
    if (threads == 1) first = budget_json(search, result), weights = here;
    EXPECT_EQ(budget_json(search, result), first);
    EXPECT_TRUE(here == weights);
    // The state without what came last, as an interruption leaves it; the models that were tried are gone.
    auto json = read_json(directory.path() / "search.json").value();
    json["sensitivities"].erase(1);
    json["measured"].erase(json["measured"].size() - 1);
    write_text(directory.path() / "search.json", json.dump());
    fs::remove_all(result.model);
    search.resume = true;
    const BudgetResult again = run(search);
    EXPECT_EQ(budget_json(search, again), first);
    EXPECT_TRUE(read_text(again.model / "model-00001-of-00003.safetensors") == weights);
    // Nothing left to do at all.
    EXPECT_EQ(budget_json(search, run(search)), first);
    search.resume = false;
  }
  set_thread_count(0);
}

TEST_F(BudgetSearchTest, RefusesWhatItCannotSearch) {
  BudgetSearch search = make_search({"bytes<=0.8x"});
  ASSERT_OK(search.recipe.set("allocation", "owl"));
  EXPECT_FAILURE(search_budget(search), StatusKind::invalid_argument, "--budget: the search decides how much");
  search = make_search({"bytes<=0.8x"});
  search.recipe.rules = {{"*_proj", {{"pattern", "dense"}}}};
  EXPECT_FAILURE(search_budget(search), StatusKind::invalid_argument, "spares all linears");
  search = make_search({"bytes<=0.8x"});
  search_budget(search).ok();
  search.resume = true;
  ASSERT_OK(search.recipe.set("damping", "0.5"));
  EXPECT_FAILURE(search_budget(search), StatusKind::invalid_argument, "repeat its command line");
}

}  // namespace
}  // namespace esparse

#include "report/comparison.h"

#include <gtest/gtest.h>

#include "report/published_results.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

ComparedModel model(const std::string& name, const std::string& recipe, double nats_more) {
  ComparedModel compared;
  compared.name = name;
  compared.recipe = recipe;
  compared.text.nats_more = {nats_more, 0.01};
  compared.text.perplexity = {30, 1};
  return compared;
}

TEST(Comparison, IsSortedByAccuracyBehindTheDenseModel) {
  std::vector<ComparedModel> models = {model("wanda 2:4", "wanda", 0.5), model("best 2:4", "best", -0.1),
                                       model("dense", "", 0)};
  sort_by_accuracy(models);
  EXPECT_EQ(models[0].name, "dense");
  EXPECT_EQ(models[1].name, "best 2:4");
  EXPECT_EQ(models[2].name, "wanda 2:4");
}

TEST(Comparison, TableShowsWhatIsKnown) {
  std::vector<ComparedModel> models = {model("dense", "", 0), model("wanda 2:4", "wanda", 0.5)};
  models[1].tasks.push_back({"PIQA", "acc_norm", {0.625, 0.02}});
  models[0].tasks.push_back({"PIQA", "acc_norm", {0.75, 0.01}});
  const std::string text = comparison_text(models, Terminal());
  for (const char* part : {"+0.5000", "0.0100", "PIQA, % acc_norm", "62.50", "75.00"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  EXPECT_EQ(text.find("published"), std::string::npos) << "a column without anything in it";
  EXPECT_EQ(text.find("0.00x"), std::string::npos) << "a speed that was not measured";
  models[1].published = "11.53 (somebody)";
  EXPECT_NE(comparison_text(models, Terminal()).find("11.53 (somebody)"), std::string::npos);
  EXPECT_EQ(comparison_text({}, Terminal()), "");
}

TEST(Comparison, FiguresSurviveJson) {
  const TextFigures text{.nll = {3, 0.1},
                         .perplexity = {20, 2},
                         .nats_more = {0.5, 0.01},
                         .kl = {0.4, 0.02},
                         .kl_p99 = 3,
                         .same_top = 0.75};
  const auto read_text_figures = TextFigures::parse(text.to_json(), "here");
  ASSERT_OK(read_text_figures);
  EXPECT_EQ(read_text_figures->to_json(), text.to_json());
  EXPECT_EQ(read_text_figures->nats_more.standard_error, 0.01);
  const SpeedFigures speed{.linear_bytes = 5,
                           .weight_bytes = 6,
                           .prefill_speedup = 1.5,
                           .decode_speedup = 1.25,
                           .prefill_tokens_per_second = 100,
                           .decode_tokens_per_second = 10,
                           .turns = 3};
  const auto read_speed = SpeedFigures::parse(speed.to_json(), "here");
  ASSERT_OK(read_speed);
  EXPECT_EQ(read_speed->to_json(), speed.to_json());
  EXPECT_FAILURE(TextFigures::parse({{"nll", 3}}, "here"), StatusKind::corruption, "here: nll: expected an object");
  EXPECT_FAILURE(ComparedTask::parse({{"task", "PIQA"}}, "here"), StatusKind::corruption, "figure");
}

// Another text, window or pattern cannot be compared, so nothing is shown.
TEST(Published, OnlyWhatWasMeasuredTheSameWay) {
  MeasuredOn on{.text_sha256 = "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08",
                .join = "wikitext",
                .bos = "text",
                .context = 2048};
  EXPECT_EQ(published_perplexity("LLaMA-7B", "wanda", "2:4", on), "11.53 (arXiv 2306.11695)");
  EXPECT_EQ(published_perplexity("LLaMA-7B", "dense", "", on), "5.68 (BESA readme)");
  EXPECT_EQ(published_perplexity("LLaMA-7B", "wanda", "3:4", on), "");
  EXPECT_EQ(published_perplexity("", "wanda", "2:4", on), "");
  on.context = 4096;
  EXPECT_EQ(published_perplexity("LLaMA-7B", "wanda", "2:4", on), "");
  EXPECT_EQ(published_perplexity("LLaMA-2-7B", "wanda", "2:4", on), "11.02 (Wanda readme)");
  for (const auto& change :
       {+[](MeasuredOn& m) { m.text_sha256[0] = 'f'; }, +[](MeasuredOn& m) { m.join = "file"; },
        +[](MeasuredOn& m) { m.bos = "none"; }, +[](MeasuredOn& m) { m.adjoining_windows = false; }}) {
    MeasuredOn other = on;
    change(other);
    EXPECT_EQ(published_perplexity("LLaMA-2-7B", "wanda", "2:4", other), "");
  }
}

TEST(Published, ModelsAreKnownByTheirSizes) {
  ModelConfig config;
  config.hidden_size = 4096, config.num_layers = 32, config.intermediate_size = 11008, config.vocab_size = 32000;
  config.num_kv_heads = 32, config.max_positions = 4096;
  EXPECT_EQ(known_model(config), "LLaMA-2-7B");
  config.max_positions = 2048;
  EXPECT_EQ(known_model(config), "LLaMA-7B");
  config.num_layers = 31;
  EXPECT_EQ(known_model(config), "");
}

}  // namespace
}  // namespace esparse

// The page: what is in it, that it needs nothing else, and that names from files cannot break out of it.
#include "report/report.h"

#include <gtest/gtest.h>

#include "report/plots.h"
#include "report/svg.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

size_t count(const std::string& text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

Json embedded(const std::string& page) {
  const std::string start = "<script type=\"application/json\" id=\"report-data\">";
  const size_t at = page.find(start) + start.size();
  auto json = parse_json(page.substr(at, page.find("</script>", at) - at), "page");
  EXPECT_TRUE(json.ok()) << json.status().message();
  return json.ok() ? std::move(json).value() : Json();
}

SaliencyPiece piece(int64_t columns) {
  SaliencyPiece made;
  for (int64_t k = 0; k < columns; ++k) made.channels.push_back(k);
  for (int row = 0; row < 3; ++row) {
    made.levels.emplace_back(columns, row + 4);
    std::vector<bool> kept;
    for (int64_t k = 0; k < columns; ++k) kept.push_back((k + row) % 2 == 0);
    made.kept.push_back(kept);
  }
  return made;
}

LayerFigures figures() {
  LayerFigures made;
  made.linear = "model.layers.1.mlp.down_proj", made.pattern = "2:4", made.saliency = "esparse",
  made.shuffle = "global";
  made.group = 4, made.out_features = 3, made.in_features = 8;
  for (int j = 0; j < 8; ++j) made.channels.push_back({j, 1.0 + j, 2.0 - 0.1 * j});
  made.histograms = {{0, 2.0, -1, 1, {1, 5, 2}}, {7, 1.3, -1, 1, {0, 8, 0}}};
  made.rows = {0, 1, 2};
  made.before = piece(8), made.after = piece(8);
  made.group_means_before = {1.5, 0.5}, made.group_means_after = {1.1, 0.9};
  made.retained_before = 0.7, made.retained = 0.8;
  return made;
}

Report full_report() {
  Report report;
  report.title = "tiny, pruned";
  report.lead = "What happened.";
  report.tiles = {{"perplexity", "34.63"}};
  for (int i = 0; i < 3; ++i) {
    ComparedModel model;
    model.name = i == 0 ? "dense" : "wanda " + std::to_string(i) + ":4";
    model.recipe = i == 0 ? "" : "wanda";
    model.text.perplexity = {30.0 + i, 1};
    model.speed.linear_bytes = 1000 - 100 * i;
    model.speed.decode_speedup = 1 + 0.1 * i;
    model.speed.turns = 3;
    report.models.push_back(model);
  }
  report.linears_of = "wanda 1:4";
  for (int layer = 0; layer < 2; ++layer)
    for (const char* name : {"self_attn.q_proj", "mlp.down_proj"}) {
      PrunedLinear linear;
      linear.name = "model.layers." + std::to_string(layer) + "." + name;
      linear.retained = 0.75, linear.output_error = 0.05, linear.magnitude_error = 0.07, linear.seconds = 0.5;
      report.linears.push_back(linear);
    }
  report.figures = figures();
  report.conditions = {{"text", "heldout.txt"}};
  report.notes = {"Nothing."};
  return report;
}

TEST(Report, HasEveryPlotAndItsNumbers) {
  const std::string page = report_html(full_report());
  for (const char* heading :
       {"Side by side", "Accuracy against size", "Accuracy against speed", "Retained saliency", "Output error", "Time",
        "Channels: norm and entropy", "Richest channel: 0", "Poorest channel: 7", "Saliency before the shuffle",
        "Saliency after the shuffle", "What each group gets", "The mask", "How it was made and measured"})
    EXPECT_NE(page.find(heading), std::string::npos) << heading;
  EXPECT_EQ(count(page, "<svg "), 12u);
  EXPECT_EQ(count(page, "<svg "), count(page, "</svg>"));
  const Json data = embedded(page);
  EXPECT_EQ(data.at("models").size(), 3u);
  EXPECT_EQ(data.at("models").at(2).at("perplexity").at("value"), 32.0);
  EXPECT_EQ(data.at("linears").at(3).at("output_error"), 0.05);
  EXPECT_EQ(data.at("figures"), figures().to_json());
  EXPECT_EQ(data.at("conditions").at("text"), "heldout.txt");
}

TEST(Report, NeedsNothingElse) {
  const std::string page = report_html(full_report());
  for (const char* part : {"http:", "https:", "src=", "@import", "url("})
    EXPECT_EQ(page.find(part), std::string::npos) << part;
}

TEST(Report, ShowsWhatThereIs) {
  Report report;
  report.title = "dense";
  const std::string page = report_html(report);
  EXPECT_EQ(count(page, "<svg "), 0u);
  EXPECT_EQ(embedded(page).at("title"), "dense");
  report = full_report();
  report.figures->before.reset();
  report.figures->channels.clear();
  for (PrunedLinear& linear : report.linears) linear.seconds = linear.output_error = -1;
  for (ComparedModel& model : report.models) model.speed.decode_speedup = 0;
  EXPECT_EQ(count(report_html(report), "<svg "), 4u) << "size, retained saliency, saliency, mask";
}

TEST(Report, NamesCannotBreakOut) {
  Report report = full_report();
  const std::string evil = "<!--</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&";
  report.title = report.lead = report.linears_of = report.models[1].name = report.figures->linear = evil;
  report.linears[0].name = "model.layers.0." + evil;
  report.conditions[0] = {evil, evil};
  report.notes[0] = evil;
  const std::string page = report_html(report);
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(count(page, "</script>"), 2u);
  EXPECT_EQ(embedded(page).at("title"), evil);
}

TEST(Report, ReadsTheLinearsOfAModel) {
  const Json json = {
      {"linears", {{{"name", "a"}, {"pattern", "2:4"}, {"retained_saliency", 0.5}, {"bytes_dense", 8}, {"bytes", 4}}}}};
  const auto linears = parse_pruned_linears(json, "esparse.json");
  ASSERT_OK(linears);
  EXPECT_EQ(linears->at(0).name, "a");
  EXPECT_EQ(linears->at(0).output_error, -1);
  EXPECT_FAILURE(parse_pruned_linears({{"linears", 3}}, "esparse.json"), StatusKind::corruption,
                 "esparse.json: linears");
  EXPECT_FAILURE(parse_pruned_linears({{"linears", {{{"name", "a"}}}}}, "esparse.json"), StatusKind::corruption,
                 "pattern");
}

TEST(ParetoFront, HasThePointsThatNoOtherBeats) {
  const std::vector<PlotPoint> points = {{"a", 1, 5}, {"b", 2, 3}, {"c", 2, 4}, {"d", 3, 3}, {"e", 4, 1}, {"f", 1, 5}};
  PlotAxes axes;
  EXPECT_EQ(pareto_front(axes, points), (std::vector<size_t>{0, 5, 1, 4})) << "equal points do not beat each other";
  axes.lower_is_better_x = false;
  EXPECT_EQ(pareto_front(axes, points), (std::vector<size_t>{4}));
}

TEST(Scale, PutsValuesAndRoundTicksOnTheAxis) {
  const Scale linear = Scale::around({10, 20}).onto(0, 100);
  EXPECT_NEAR(linear(15), 50, 1e-9);
  EXPECT_GT(linear(10), 0);
  EXPECT_LT(linear(20), 100);
  const Scale logarithmic = Scale::around({1, 100}, true).onto(100, 0);
  EXPECT_NEAR(logarithmic(10), 50, 1e-9);
  EXPECT_GT(logarithmic(1), logarithmic(100)) << "the axis points up";
  EXPECT_EQ(logarithmic.ticks(5), (std::vector<double>{1, 10, 100}));
  for (const auto& [low, high] : {std::pair{0.031, 0.072}, {3.0, 3.0}, {884736.0, 1572864.0}, {-2.0, 7.0}}) {
    const Scale scale = Scale::around({low, high}).onto(0, 1);
    const std::vector<double> ticks = scale.ticks(5);
    EXPECT_GE(ticks.size(), 3u) << low << " to " << high;
    EXPECT_LE(ticks.size(), 11u) << low << " to " << high;
    for (double tick : ticks) {
      EXPECT_GE(scale(tick), -1e-9);
      EXPECT_LE(scale(tick), 1 + 1e-9);
    }
  }
}

TEST(Escape, KeepsTextText) {
  EXPECT_EQ(escape_html("<a href=\"x\">&\x01"), "&lt;a href=&quot;x&quot;&gt;&amp; ");
  EXPECT_EQ(short_number(1572864), "1.57M");
  EXPECT_EQ(short_number(0.25), "0.25");
}

}  // namespace
}  // namespace esparse

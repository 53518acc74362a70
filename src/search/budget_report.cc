#include "search/budget_report.h"

#include <algorithm>
#include <cmath>

#include "report/table.h"

namespace esparse {
namespace {

Json point_json(const ModelPoint& point, const BudgetResult& result, bool with_times) {
  Json json = {{"kl_predicted", point.predicted_kl},
               {"ppl_ratio_predicted", std::exp(point.predicted_rise)},
               {"bytes", point.sums.bytes}};
  if (!point.name.empty()) json["name"] = point.name;
  if (with_times) json["speedup_predicted"] = result.dense.seconds / point.sums.seconds;
  if (point.measured) {
    json["kl"] = point.measured->divergence.kl;
    json["ppl_ratio"] = std::exp(point.measured->divergence.nll_rise);
    json["bytes"] = point.measured->bytes;
    if (point.measured->speedup) json["speedup"] = *point.measured->speedup;
  }
  return json;
}

// One line of the table; "~" marks what is forecast.
void add_point(const ModelPoint& point, const BudgetResult& result, std::string_view mark, Table& table) {
  const bool known = point.measured.has_value();
  const double kl = known ? point.measured->divergence.kl : point.predicted_kl;
  const double rise = known ? point.measured->divergence.nll_rise : point.predicted_rise;
  const double bytes = known ? static_cast<double>(point.measured->bytes) : point.sums.bytes;
  const std::string_view about = known ? "" : "~";
  table.add_row(
      {point.name.empty() ? "frontier" : point.name, fmt::format("{}{:.3f}", about, std::exp(result.dense_nll + rise)),
       fmt::format("{}{:+.2f} %", about, 100 * std::expm1(rise)), fmt::format("{}{:.4f}", about, kl),
       format_count(std::llround(bytes)), fmt::format("{:.3f}x", bytes / result.dense.bytes),
       fmt::format("{:.1f}", 1 / point.sums.seconds), fmt::format("{:.2f}x", result.dense.seconds / point.sums.seconds),
       known && point.measured->speedup ? fmt::format("{:.2f}x", *point.measured->speedup) : "-", std::string(mark)});
}

std::string frontier_table(const BudgetResult& result) {
  struct Line {
    const ModelPoint* point;
    std::string_view mark;
  };
  std::vector<Line> lines;
  for (const ModelPoint& point : result.front) lines.push_back({&point, ""});
  for (const ModelPoint& point : result.uniform) lines.push_back({&point, ""});
  for (size_t index = 0; index < result.attempts.size(); ++index)
    lines.push_back({&result.attempts[index], index != result.best ? "" : result.met ? "<- chosen" : "<- closest"});
  std::ranges::stable_sort(lines,
                           [](const Line& a, const Line& b) { return a.point->sums.bytes > b.point->sums.bytes; });
  Table table(
      {"model", "perplexity", "over dense", "divergence", "bytes", "of dense", "tokens/s", "speedup", "measured", ""});
  table.add_row({"dense", fmt::format("{:.3f}", std::exp(result.dense_nll)), "+0.00 %", "0.0000",
                 format_count(std::llround(result.dense.bytes)), "1.000x",
                 fmt::format("{:.1f}", 1 / result.dense.seconds), "1.00x", "-", ""});
  for (const Line& line : lines) add_point(*line.point, result, line.mark, table);
  return table.text();
}

std::string patterns_table(const BudgetResult& result) {
  const ModelPoint& best = result.attempts[*result.best];
  Table table({"block", "attention", "output", "feed-forward"});
  std::vector<Cell> row;
  for (size_t group = 0; group < result.groups.size(); ++group) {
    if (row.empty()) row.emplace_back(std::to_string(result.groups[group].layer));
    const std::string text = result.groups[group].options[best.options[group]].text();
    row.emplace_back(text.empty() ? "dense" : text);
    if (row.size() == 4) {
      table.add_row(std::move(row));
      row.clear();
    }
  }
  return table.text();
}

}  // namespace

std::string budget_text(const BudgetResult& result) {
  return frontier_table(result) +
         fmt::format(
             "on {} held-out tokens; \"~\": forecast from the divergences of single groups; tokens/s and speedup: of "
             "one stream, from the times of single linears on this machine; measured: of the whole model\n\n",
             format_count(result.held_out_tokens)) +
         patterns_table(result) + result.verdict + "\n";
}

Json budget_json(const BudgetSearch& search, const BudgetResult& result) {
  const bool with_times = search.budget.speedup || result.objective == Objective::time;
  const auto list = [&](const std::vector<ModelPoint>& points) {
    Json json = Json::array();
    for (const ModelPoint& point : points) json.push_back(point_json(point, result, with_times));
    return json;
  };
  Json candidates = Json::array();
  for (const PruneTarget& candidate : search.candidates) candidates.push_back(candidate.text());
  return {{"budget", search.budget.text()},
          {"met", result.met},
          {"objective", result.objective == Objective::bytes ? "bytes" : "time"},
          {"candidates", candidates},
          {"held_out_tokens", result.held_out_tokens},
          {"dense_nll", result.dense_nll},
          {"dense_bytes", result.dense.bytes},
          {"frontier", list(result.front)},
          {"uniform", list(result.uniform)},
          {"attempts", list(result.attempts)}};
}

}  // namespace esparse

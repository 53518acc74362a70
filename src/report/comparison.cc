#include "report/comparison.h"

#include <algorithm>

#include <fmt/format.h>

#include "report/table.h"

namespace esparse {
namespace {

Json estimate_json(const Estimate& estimate) { return {{"value", estimate.mean}, {"stderr", estimate.standard_error}}; }

Result<Estimate> parse_estimate(const JsonFields& fields, std::string_view key) {
  const JsonFields inner(fields.raw(key), fmt::format("{}: {}", fields.label(), key));
  Estimate estimate;
  ESPARSE_ASSIGN_OR_RETURN(estimate.mean, inner.number("value"));
  ESPARSE_ASSIGN_OR_RETURN(estimate.standard_error, inner.number("stderr"));
  return estimate;
}

Cell speed_cell(double speedup) {
  if (speedup <= 0) return "-";
  return {fmt::format("{:.2f}x", speedup), speedup < 0.995 ? Style::bad : Style::plain};
}

std::string tasks_text(const std::vector<ComparedModel>& models, const Terminal& terminal) {
  std::vector<std::string> headings = {"model"};
  for (const ComparedTask& task : models.front().tasks)
    headings.push_back(fmt::format("{}, % {}", task.name, task.figure)), headings.emplace_back("+-");
  if (headings.size() == 1) return "";
  Table table(headings);
  for (const ComparedModel& model : models) {
    std::vector<Cell> cells = {model.name};
    for (const ComparedTask& task : model.tasks) {
      cells.emplace_back(fmt::format("{:.2f}", 100 * task.value.mean));
      cells.emplace_back(fmt::format("{:.2f}", 100 * task.value.standard_error));
    }
    table.add_row(std::move(cells));
  }
  return "\n" + table.text(terminal);
}

}  // namespace

Json TextFigures::to_json() const {
  return {{"nll", estimate_json(nll)},
          {"perplexity", estimate_json(perplexity)},
          {"nats_more", estimate_json(nats_more)},
          {"kl", estimate_json(kl)},
          {"kl_p99", kl_p99},
          {"same_top", same_top}};
}

Result<TextFigures> TextFigures::parse(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  TextFigures figures;
  ESPARSE_ASSIGN_OR_RETURN(figures.nll, parse_estimate(fields, "nll"));
  ESPARSE_ASSIGN_OR_RETURN(figures.perplexity, parse_estimate(fields, "perplexity"));
  ESPARSE_ASSIGN_OR_RETURN(figures.nats_more, parse_estimate(fields, "nats_more"));
  ESPARSE_ASSIGN_OR_RETURN(figures.kl, parse_estimate(fields, "kl"));
  ESPARSE_ASSIGN_OR_RETURN(figures.kl_p99, fields.number("kl_p99"));
  ESPARSE_ASSIGN_OR_RETURN(figures.same_top, fields.number("same_top"));
  return figures;
}

Json SpeedFigures::to_json() const {
  return {{"linear_bytes", linear_bytes},
          {"weight_bytes", weight_bytes},
          {"prefill_speedup", prefill_speedup},
          {"decode_speedup", decode_speedup},
          {"prefill_tokens_per_second", prefill_tokens_per_second},
          {"decode_tokens_per_second", decode_tokens_per_second},
          {"turns", turns}};
}

Result<SpeedFigures> SpeedFigures::parse(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  SpeedFigures figures;
  ESPARSE_ASSIGN_OR_RETURN(figures.linear_bytes, fields.integer("linear_bytes"));
  ESPARSE_ASSIGN_OR_RETURN(figures.weight_bytes, fields.integer("weight_bytes"));
  ESPARSE_ASSIGN_OR_RETURN(figures.prefill_speedup, fields.number("prefill_speedup"));
  ESPARSE_ASSIGN_OR_RETURN(figures.decode_speedup, fields.number("decode_speedup"));
  ESPARSE_ASSIGN_OR_RETURN(figures.prefill_tokens_per_second, fields.number("prefill_tokens_per_second"));
  ESPARSE_ASSIGN_OR_RETURN(figures.decode_tokens_per_second, fields.number("decode_tokens_per_second"));
  ESPARSE_ASSIGN_OR_RETURN(const int64_t turns, fields.integer("turns"));
  figures.turns = static_cast<int>(turns);
  return figures;
}

Json ComparedTask::to_json() const { return {{"task", name}, {"figure", figure}, {"accuracy", estimate_json(value)}}; }

Result<ComparedTask> ComparedTask::parse(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  ComparedTask task;
  ESPARSE_ASSIGN_OR_RETURN(task.name, fields.string("task"));
  ESPARSE_ASSIGN_OR_RETURN(task.figure, fields.string("figure"));
  ESPARSE_ASSIGN_OR_RETURN(task.value, parse_estimate(fields, "accuracy"));
  return task;
}

Json ComparedModel::to_json() const {
  Json json = {{"name", name}, {"recipe", recipe}, {"pattern", pattern}, {"tasks", Json::array()}};
  json.update(text.to_json());
  json.update(speed.to_json());
  if (prune_seconds >= 0) json["prune_seconds"] = prune_seconds;
  if (!published.empty()) json["published"] = published;
  for (const ComparedTask& task : tasks) json["tasks"].push_back(task.to_json());
  return json;
}

void sort_by_accuracy(std::vector<ComparedModel>& models) {
  std::ranges::stable_sort(models, {},
                           [](const ComparedModel& m) { return std::pair(!m.is_dense(), m.text.nats_more.mean); });
}

std::string comparison_text(const std::vector<ComparedModel>& models, const Terminal& terminal) {
  if (models.empty()) return "";
  const bool published = std::ranges::any_of(models, [](const ComparedModel& m) { return !m.published.empty(); });
  std::vector<std::string> headings = {"model",      "perplexity", "nats more", "+-",     "KL, nats", "same top, %",
                                       "linears, B", "weights, B", "prefill",   "decode", "tokens/s", "pruned in"};
  if (published) headings.emplace_back("published perplexity");
  Table table(headings);
  for (const ComparedModel& m : models) {
    std::vector<Cell> cells = {m.name,
                               fmt::format("{:.2f}", m.text.perplexity.mean),
                               m.is_dense() ? "-" : fmt::format("{:+.4f}", m.text.nats_more.mean),
                               m.is_dense() ? "-" : fmt::format("{:.4f}", m.text.nats_more.standard_error),
                               m.is_dense() ? "-" : fmt::format("{:.4f}", m.text.kl.mean),
                               m.is_dense() ? "-" : fmt::format("{:.1f}", 100 * m.text.same_top),
                               format_count(m.speed.linear_bytes),
                               format_count(m.speed.weight_bytes),
                               speed_cell(m.speed.prefill_speedup),
                               speed_cell(m.speed.decode_speedup),
                               m.speed.measured() ? fmt::format("{:.0f}", m.speed.decode_tokens_per_second) : "-",
                               m.prune_seconds < 0 ? "-" : fmt::format("{:.1f} s", m.prune_seconds)};
    if (published) cells.emplace_back(m.published.empty() ? "-" : m.published);
    table.add_row(std::move(cells));
  }
  return table.text(terminal) + tasks_text(models, terminal);
}

}  // namespace esparse

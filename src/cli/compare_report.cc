// The page of a comparison.
#include <algorithm>

#include "base/byte_size.h"
#include "cli/compare_run.h"
#include "cli/model_report.h"
#include "report/table.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

std::string share_text(int64_t part, int64_t whole) {
  return fmt::format("{:.1f} %", 100 * static_cast<double>(part) / static_cast<double>(std::max<int64_t>(whole, 1)));
}

void add_tiles(const ComparedModel& dense, const ComparedModel& best, Report& report) {
  report.tiles.emplace_back("perplexity, dense", fmt::format("{:.2f}", dense.text.perplexity.mean));
  report.tiles.emplace_back("perplexity, " + best.name, fmt::format("{:.2f}", best.text.perplexity.mean));
  report.tiles.emplace_back("same top token as dense", fmt::format("{:.1f} %", 100 * best.text.same_top));
  report.tiles.emplace_back("bytes of its linears, of dense",
                            share_text(best.speed.linear_bytes, dense.speed.linear_bytes));
  if (best.speed.measured())
    report.tiles.emplace_back("writes, times as fast as dense", fmt::format("{:.2f}x", best.speed.decode_speedup));
}

}  // namespace

Result<Report> report_of_comparison(const CompareOutcome& outcome, const fs::path& model) {
  const fs::path named = fs::absolute(model).lexically_normal();
  const std::string name = (named.has_filename() ? named : named.parent_path()).filename().string();
  Report report;
  report.models = outcome.models;
  report.title = fmt::format("{}: {} ways to prune it", name, outcome.models.size() - 1);
  report.conditions = outcome.conditions;
  if (!outcome.complete)
    report.notes.emplace_back("Some of the candidates: the comparison was interrupted before they were measured.");
  const auto best = std::ranges::find_if(outcome.models, [](const ComparedModel& m) { return !m.is_dense(); });
  if (best == outcome.models.end()) return report;
  report.lead = fmt::format(
      "Of what was tried, {} stays closest to the dense model: {:+.4f} nats per token, {} instead of {} for the "
      "linears. The first half of the page compares all, the second looks into this one.",
      best->name, best->text.nats_more.mean, format_bytes(best->speed.linear_bytes),
      format_bytes(outcome.models.front().speed.linear_bytes));
  add_tiles(outcome.models.front(), *best, report);
  const PrunedModel& pruned = outcome.pruned.at(best->name);
  ESPARSE_ASSIGN_OR_RETURN(Report inside, report_of_model(pruned.directory, &pruned.linear_seconds));
  report.linears_of = best->name;
  report.linears = std::move(inside.linears);
  report.figures = std::move(inside.figures);
  report.notes.insert(report.notes.end(), inside.notes.begin(), inside.notes.end());
  for (auto& [key, value] : inside.conditions)
    report.conditions.emplace_back(best->name + ": " + key, std::move(value));
  return report;
}

}  // namespace esparse

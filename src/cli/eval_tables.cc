#include "cli/eval_tables.h"

#include "cli/text_source.h"
#include "report/table.h"

namespace esparse {
namespace {

std::string percent(const Estimate& share) { return fmt::format("{:.2f}", 100 * share.mean); }
std::string percent_error(const Estimate& share) { return fmt::format("{:.2f}", 100 * share.standard_error); }

std::string divergence_table(const Divergence& d) {
  Table table({"KL, nats", "+-", "KL 99 %", "same top, %", "+-", "ppl ratio", "+-", "nats/token more", "+-"});
  table.add_row(
      {fmt::format("{:.5f}", d.kl.mean), fmt::format("{:.5f}", d.kl.standard_error), fmt::format("{:.4f}", d.kl_p99),
       percent(d.same_top), percent_error(d.same_top), fmt::format("{:.4f}", d.perplexity_ratio.mean),
       fmt::format("{:.4f}", d.perplexity_ratio.standard_error), fmt::format("{:+.5f}", d.nll_difference.mean),
       fmt::format("{:.5f}", d.nll_difference.standard_error)});
  return "\nAgainst the dense model, token by token:\n" + table.text();
}

std::string conditions_text(const PreparedText& text) {
  const TextOptions& options = text.options;
  return fmt::format("{}: sha256 {}, join {}, bos {}, {}\n", options.file.filename().string(),
                     text.sha256.substr(0, 16), join_rule_name(options.join), bos_rule_name(options.bos),
                     windows_text(text));
}

}  // namespace

std::string text_table(const EvalRow& row) {
  const Perplexity& p = row.measured;
  Table table({"perplexity", "+-", "nats/token", "bits/byte", "tokens", "windows", "context", "tokens/s"});
  table.add_row(
      {fmt::format("{:.4f}", p.perplexity.mean), fmt::format("{:.4f}", p.perplexity.standard_error),
       fmt::format("{:.5f}", p.nll.mean),
       fmt::format("{:.4f}", bits_per_byte(p.nll.mean, row.text.tokens, row.text.bytes)), format_count(p.tokens),
       p.complete() ? format_count(p.windows)
                    : fmt::format("{} of {}", format_count(p.windows), format_count(p.all_windows)),
       format_count(row.text.options.context), fmt::format("{:.0f}", static_cast<double>(p.tokens) / row.seconds)});
  return table.text() + conditions_text(row.text) + (p.divergence ? divergence_table(*p.divergence) : "");
}

std::string task_table(std::span<const TaskResult> results) {
  if (results.empty()) return "";
  Table table({"task", "items", "acc, %", "+-", "acc_norm, %", "+-", "acc_bytes, %", "perplexity", "+-"});
  int64_t cut = 0;
  for (const TaskResult& result : results) {
    const auto share = [](const std::optional<Estimate>& value) { return value ? percent(*value) : "-"; };
    const auto error = [](const std::optional<Estimate>& value) { return value ? percent_error(*value) : "-"; };
    const auto number = [](const std::optional<Estimate>& value, double Estimate::*part) {
      return value ? fmt::format("{:.2f}", (*value).*part) : "-";
    };
    cut += result.statistics.cut_items;
    table.add_row(
        {std::string(result.spec->title),
         result.complete() ? format_count(result.items)
                           : fmt::format("{} of {}", format_count(result.items), format_count(result.all_items)),
         share(result.acc), error(result.acc), share(result.acc_norm), error(result.acc_norm), share(result.acc_bytes),
         number(result.perplexity, &Estimate::mean), number(result.perplexity, &Estimate::standard_error)});
  }
  std::string text = "\n" + table.text();
  if (cut > 0)
    text += fmt::format("{} items were longer than the model's positions; their beginnings were cut.\n", cut);
  return text;
}

}  // namespace esparse

// esparse compare: several ways to prune one model, side by side.
#include <memory>

#include "base/parallel.h"
#include "cli/commands.h"
#include "cli/compare_run.h"
#include "io/files.h"
#include "kernels/isa.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

struct CompareCommand {
  CommonOptions common;
  CompareJob job;
  std::vector<std::string> recipes, patterns;
  std::string work, html;
  bool no_speed = false;

  Status run();
  Status print(const CompareOutcome& outcome) const;
};

// "compare-novel-1m" in the current directory.
fs::path default_work(const std::string& model) {
  const fs::path named = fs::absolute(model).lexically_normal();
  return "compare-" + (named.has_filename() ? named : named.parent_path()).filename().string();
}

Status CompareCommand::print(const CompareOutcome& outcome) const {
  if (!common.json) {
    std::string text = comparison_text(outcome.models, standard_output());
    for (const auto& [name, value] : outcome.conditions) text += fmt::format("{}: {}\n", name, value);
    return print_out(text);
  }
  Json json = {{"model", job.model}, {"complete", outcome.complete}, {"models", Json::array()}};
  for (const auto& [name, value] : outcome.conditions) json["conditions"][name] = value;
  for (const ComparedModel& model : outcome.models) {
    json["models"].push_back(model.to_json());
    if (!model.is_dense()) json["models"].back()["directory"] = outcome.pruned.at(model.name).directory.string();
  }
  return print_out(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Status CompareCommand::run() {
  set_thread_count(common.threads);
  ESPARSE_RETURN_IF_ERROR(check_isa_choice());
  if (job.tasks.tasks.empty() && job.tasks.limit != 0) return invalid_argument("--limit: needs --tasks");
  ESPARSE_ASSIGN_OR_RETURN(job.candidates, compare_candidates(recipes, patterns));
  job.work = work.empty() ? default_work(job.model) : fs::path(work);
  job.timed = !no_speed;
  job.quiet = common.json;
  ESPARSE_ASSIGN_OR_RETURN(const CompareOutcome outcome, run_comparison(job));
  ESPARSE_RETURN_IF_ERROR(print(outcome));
  if (!html.empty()) {
    ESPARSE_ASSIGN_OR_RETURN(const Report page, report_of_comparison(outcome, job.model));
    ESPARSE_RETURN_IF_ERROR(write_file_atomically(html, report_html(page)).with_context("--html"));
  }
  return outcome.complete ? Status()
                          : Status(StatusKind::interrupted,
                                   "interrupted: the same command goes on from here; the table has what "
                                   "was done by then");
}

void add_speed_options(CLI::App& sub, CompareCommand& command) {
  const std::string group = "Speed";
  EngineBenchOptions& bench = command.job.bench;
  bench.prompt_tokens = bench.gen_tokens = 0;
  sub.add_option("--prompt-tokens", bench.prompt_tokens,
                 "Length of the prompt (default: 512, or less where the model has fewer positions)")
      ->check(at_least_one())
      ->group(group);
  sub.add_option("--gen-tokens", bench.gen_tokens,
                 "Tokens written after it (default: 128, or a quarter of the model's positions)")
      ->check(at_least_one())
      ->group(group);
  sub.add_option("--repetitions", bench.repetitions, "Turns at most; fewer where they would take too long")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000))
      ->group(group);
  sub.add_flag("--no-speed", command.no_speed, "Measure no speeds")->group(group);
}

}  // namespace

CommandBody add_compare_command(CLI::App& app) {
  auto command = std::make_shared<CompareCommand>();
  CLI::App* sub = app.add_subcommand("compare", "Prune a model in several ways and show accuracy, size and speed");
  sub->add_option("MODEL", command->job.model, "Model directory (Hugging Face), or a llama2.c .bin file")->required();
  sub->add_option("--recipes", command->recipes,
                  "Names of shipped recipes ('esparse recipes') or YAML files, by commas")
      ->required()
      ->delimiter(',');
  sub->add_option("--patterns", command->patterns,
                  "Patterns to prune each recipe to, by commas (default: the recipe's own)")
      ->delimiter(',');
  command->job.calibration.add_options(*sub);
  command->job.text.add_options(*sub)->required();
  command->job.tasks.add_options(*sub);
  add_speed_options(*sub, *command);
  add_plan_options(*sub, command->job.plan);
  sub->add_option("--tokenizer", command->job.tokenizer, "Tokenizer file or directory (default: the model's own)");
  sub->add_option("--work", command->work,
                  "Directory for the pruned models and what was measured (default: compare-NAME here, NAME being "
                  "the model's)");
  sub->add_option("--html", command->html, "Write a report to this file: one page that needs nothing else");
  add_json_option(*sub, command->common, "model, conditions, models (by accuracy), complete");
  add_threads_option(*sub, command->common);
  sub->footer(
      "Every candidate is pruned, evaluated token by token against the dense model, and timed in turns with it. All\n"
      "of it is kept: the same command again shows the table at once, a further recipe costs that recipe alone, and\n"
      "an interrupted run goes on where it was. Remove the --work directory to begin anew.\n\n"
      "Examples:\n"
      "  esparse compare models/novel-1m --recipes magnitude,wanda,esparse --calib models/text/calibration.txt \\\n"
      "    --text models/text/heldout.txt --html report.html\n"
      "  esparse compare MODEL --recipes wanda,best --patterns 2:4,4:8 --calib c4.jsonl --text wiki.test.raw \\\n"
      "    --join wikitext --tasks piqa.jsonl,hellaswag.jsonl --limit 1000\n");
  return [command] { return command->run(); };
}

}  // namespace esparse

// esparse prune: makes a sparse copy of a model.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "base/byte_size.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "cli/calibration_source.h"
#include "cli/commands.h"
#include "cli/device_option.h"
#include "cli/model_report.h"
#include "cli/prune_budget.h"
#include "gpu_prune/gpu_prune_device.h"
#include "io/files.h"
#include "prune/estimate.h"
#include "prune/prune_run.h"
#include "prune/recipe_file.h"
#include "prune/recipe_options.h"
#include "report/table.h"
#include "runtime/session.h"
#include "text/corpus.h"

namespace esparse {
namespace {

struct PruneCommand {
  CommonOptions common;
  CalibrationSource calibration;
  std::string model, output, tokenizer, html, report_linear;
  std::string recipe;                                         // empty: esparse, best for a budget
  std::vector<std::pair<std::string, std::string>> settings;  // of the command line, on top of the recipe
  std::string memory_budget;
  BudgetOptions budget;
  DeviceOption device;
  bool force = false, resume = false;

  Result<Recipe> effective_recipe() const;
  Status check_output_spares_inputs() const;
  Result<std::optional<int64_t>> budget_bytes() const;
  Result<bool> plan(const Model& pruned, const Recipe& chosen, int64_t windows, int64_t length,
                    std::optional<int64_t> memory) const;
  Status print(const Recipe& chosen, const PruneReport& report, double seconds) const;
  Result<std::string> figures_linear(const Model& dense, const Recipe& chosen) const;
  Status search(const Recipe& chosen, ResumableDirectory& directory) const;
  Status run() const;
};

Result<Recipe> PruneCommand::effective_recipe() const {
  ESPARSE_ASSIGN_OR_RETURN(Recipe chosen, load_recipe(!recipe.empty() ? recipe : budget.asked() ? "best" : "esparse"));
  for (const auto& [name, value] : settings) {
    if (budget.asked() && name == "pattern")
      return invalid_argument("--pattern: a budget search chooses the patterns; name its --candidates");
    ESPARSE_RETURN_IF_ERROR(chosen.set(name, value).with_context("command line"));
  }
  ESPARSE_RETURN_IF_ERROR(chosen.validate());
  return chosen;
}

// --force must not delete what the run reads.
Status PruneCommand::check_output_spares_inputs() const {
  std::error_code ignored;
  const auto target = std::filesystem::weakly_canonical(output, ignored);
  for (const std::string& input : {model, calibration.calib, tokenizer, budget.held_out}) {
    if (input.empty()) continue;
    const auto source = std::filesystem::weakly_canonical(input, ignored);
    if (std::mismatch(target.begin(), target.end(), source.begin(), source.end()).first == target.end())
      return invalid_argument("-o: {} holds {}, which this run reads; choose another directory", output, input);
  }
  return {};
}

Result<std::optional<int64_t>> PruneCommand::budget_bytes() const {
  if (memory_budget.empty()) return std::optional<int64_t>();
  auto bytes = parse_bytes(memory_budget);
  if (!bytes.ok()) return bytes.status().with_context("--memory-budget");
  return std::optional<int64_t>(*bytes);
}

// Says what the run will take. True: sites have to be gathered one at a time to keep the budget.
Result<bool> PruneCommand::plan(const Model& pruned, const Recipe& chosen, int64_t windows, int64_t length,
                                std::optional<int64_t> memory) const {
  PruneEstimate estimate = estimate_pruning(pruned, chosen, windows, length, false);
  const bool singly = memory && estimate.resident_bytes > *memory;
  if (singly) {
    estimate = estimate_pruning(pruned, chosen, windows, length, true);
    if (estimate.resident_bytes > *memory)
      return invalid_argument("--memory-budget: {} are not enough; this run needs about {}", format_bytes(*memory),
                              format_bytes(estimate.resident_bytes));
  }
  if (!common.json) {
    const double seconds = device.on_gpu() ? 0 : estimate.operations / measure_product_rate();  // of the CPU
    const std::string time = device.on_gpu() ? "" : format_duration(seconds) + ", ";
    std::fprintf(stderr, "Estimate: %s%s of memory, %s of disk for hidden states\n", time.c_str(),
                 format_bytes(estimate.resident_bytes).c_str(), format_bytes(estimate.disk_bytes).c_str());
  }
  return singly;
}

struct Totals {
  int64_t dense = 0, now = 0, pruned = 0, measured = 0, worse = 0, damped = 0;
  double retained = 0, error = 0, magnitude_error = 0;
};

Totals add_up(const PruneReport& report) {
  Totals totals;
  for (const PrunedLinear& linear : report.linears) {
    totals.dense += linear.bytes_dense;
    totals.now += linear.bytes_now;
    if (linear.pattern == "dense") continue;
    ++totals.pruned;
    totals.retained += linear.retained;
    totals.damped += linear.damping > linear.damping_asked * (1 + 1e-9);
    if (linear.output_error < 0) continue;
    ++totals.measured;
    totals.worse += linear.worse_than_magnitude();
    totals.error += linear.output_error;
    totals.magnitude_error += linear.magnitude_error;
  }
  totals.retained /= static_cast<double>(std::max<int64_t>(totals.pruned, 1));
  totals.error /= static_cast<double>(std::max<int64_t>(totals.measured, 1));
  totals.magnitude_error /= static_cast<double>(std::max<int64_t>(totals.measured, 1));
  return totals;
}

// What a careful user would want to be told, a line each.
std::string warnings(const PruneReport& report, const Totals& totals) {
  std::string text;
  if (totals.worse > 0) {
    text += fmt::format("warning: {} of {} linears have a larger output error than magnitude pruning would give:\n",
                        totals.worse, totals.measured);
    for (const PrunedLinear& linear : report.linears)
      if (linear.worse_than_magnitude())
        text += fmt::format("  {}: {:.4f} against {:.4f}\n", linear.name, linear.output_error, linear.magnitude_error);
  }
  if (totals.damped > 0) {
    text += fmt::format("warning: {} linears needed more damping than asked for:\n", totals.damped);
    for (const PrunedLinear& linear : report.linears)
      if (linear.damping > linear.damping_asked * (1 + 1e-9))
        text += fmt::format("  {}: {:g} instead of {:g}\n", linear.name, linear.damping, linear.damping_asked);
  }
  return text;
}

// What searching only some rows has cost the shuffle.
std::string subsampling_note(const Recipe& chosen, const PruneReport& report) {
  double before = 0, after = 0, searched = 0, count = 0;
  for (const PrunedLinear& linear : report.linears) {
    if (!linear.shuffle) continue;
    before += linear.shuffle->retained_before;
    after += linear.shuffle->retained;
    searched += linear.shuffle->retained_on_searched_rows;
    ++count;
  }
  if (count == 0 || chosen.base.shuffle.rows == 0) return "";
  return fmt::format(
      "shuffle searched {} rows: it keeps {:.2f} % of their saliency, {:.2f} % of all rows' ({:.2f} % without "
      "shuffle)\n",
      chosen.base.shuffle.rows, 100 * searched / count, 100 * after / count, 100 * before / count);
}

Status PruneCommand::print(const Recipe& chosen, const PruneReport& report, double seconds) const {
  const Totals totals = add_up(report);
  if (common.json) {
    Json json = {{"output", output},
                 {"linears", totals.pruned},
                 {"bytes_dense", totals.dense},
                 {"bytes", totals.now},
                 {"retained_saliency", totals.retained},
                 {"worse_than_magnitude", totals.worse},
                 {"more_damping", totals.damped},
                 {"peak_resident_bytes", peak_resident_bytes()},
                 {"seconds", seconds}};
    if (totals.measured > 0) {
      json["output_error"] = totals.error;
      json["magnitude_error"] = totals.magnitude_error;
    }
    return print_out(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  Table table({"pruned linears", "pattern", "saliency", "shuffle", "update", "saliency kept", "output error",
               "by magnitude", "bytes dense", "bytes now", "of dense", "time", "peak memory"});
  const auto percent = [](bool known, double share) { return known ? fmt::format("{:.2f} %", 100 * share) : "-"; };
  table.add_row(
      {format_count(totals.pruned), chosen.base.target.text(), std::string(chosen.base.saliency->name),
       std::string(chosen.base.shuffle.text()), chosen.base.update.text(), percent(true, totals.retained),
       percent(totals.measured > 0, totals.error), percent(totals.measured > 0, totals.magnitude_error),
       format_count(totals.dense), format_count(totals.now),
       percent(true, static_cast<double>(totals.now) / static_cast<double>(std::max<int64_t>(totals.dense, 1))),
       format_duration(seconds), format_bytes(peak_resident_bytes())});
  return print_out(table.text() + subsampling_note(chosen, report) + warnings(report, totals));
}

// The linear whose pictures are kept for reports.
Result<std::string> PruneCommand::figures_linear(const Model& dense, const Recipe& chosen) const {
  if (report_linear.empty()) return default_figures_linear(dense, chosen);
  std::vector<std::string> names;
  for (const DecoderBlock& block : dense.blocks())
    for (const InputSite site : kInputSites)
      for (const LinearLayer* linear : block.linears_at(site)) {
        if (!budget.asked() && !chosen.for_linear(linear->name(), chosen.base.target).prunes()) continue;
        if (linear->name() == report_linear) return report_linear;
        names.push_back(linear->name());
      }
  return invalid_argument("--report-linear: the recipe prunes no linear {:?}{}", report_linear,
                          did_you_mean(report_linear, names));
}

// Everything that a search measures is on text that its models are not calibrated on.
Status PruneCommand::search(const Recipe& chosen, ResumableDirectory& directory) const {
  BudgetSearch asked;
  ESPARSE_RETURN_IF_ERROR(apply_budget_options(budget, asked));
  if (calibration.calib.empty()) return invalid_argument("--calib: a budget search needs a calibration text");
  ESPARSE_ASSIGN_OR_RETURN(std::vector<std::string> documents, calibration.documents());
  std::vector<std::string> held_out;
  if (budget.held_out.empty()) {
    held_out = split_held_out(documents);
  } else {
    ESPARSE_ASSIGN_OR_RETURN(held_out, read_documents(budget.held_out));
  }
  ESPARSE_ASSIGN_OR_RETURN(const Session session, open_session(model, tokenizer, OpenFor::pruning));
  asked.recipe = chosen;
  asked.prune = {
      .windows = {}, .facts = calibration.facts(*session.model, true), .tokenizer_file = session.tokenizer_file};
  ESPARSE_ASSIGN_OR_RETURN(asked.prune.figures_of, figures_linear(*session.model, chosen));
  ESPARSE_ASSIGN_OR_RETURN(asked.prune.windows, calibration.windows(session, documents));
  ESPARSE_ASSIGN_OR_RETURN(
      asked.held_out,
      held_out_windows(held_out, *session.tokenizer, calibration.window_tokens(*session.model), budget.held_out_tokens,
                       budget.held_out.empty() ? calibration.calib : budget.held_out));
  asked.open_dense = [this]() -> Result<std::unique_ptr<Model>> {
    ESPARSE_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(model));
    return Model::load(std::move(checkpoint));
  };
  return run_budget(std::move(asked), budget, directory, resume, common.json);
}

Status PruneCommand::run() const {
  set_thread_count(common.threads);
  const auto start = std::chrono::steady_clock::now();
  ESPARSE_ASSIGN_OR_RETURN(const Recipe chosen, effective_recipe());
  ESPARSE_ASSIGN_OR_RETURN(const std::optional<int64_t> memory, budget_bytes());
  ESPARSE_RETURN_IF_ERROR(check_output_spares_inputs());
  ESPARSE_ASSIGN_OR_RETURN(ResumableDirectory directory, ResumableDirectory::open(output, force));
  ESPARSE_RETURN_IF_ERROR(check_interrupted(directory, resume && !budget.asked(), force));
  ESPARSE_RETURN_IF_ERROR(check_interrupted_search(directory, resume && budget.asked(), force));
  if (budget.asked()) return search(chosen, directory);
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Device> gpu, device.open());
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<std::string> documents, calibration.documents());
  ESPARSE_ASSIGN_OR_RETURN(const Session session, open_session(model, tokenizer, OpenFor::pruning));
  ESPARSE_RETURN_IF_ERROR(check_prunable(*session.model, chosen));
  const bool calibrated = needs_calibration(*session.model, chosen);
  const int64_t length = calibration.window_tokens(*session.model);
  PruneRunInputs inputs{
      .windows = {}, .facts = calibration.facts(*session.model, calibrated), .tokenizer_file = session.tokenizer_file};
  if (calibrated) {
    ESPARSE_ASSIGN_OR_RETURN(inputs.windows, calibration.windows(session, documents));
  }
  GpuPruneDevice pruner;
  if (gpu != nullptr) {
    pruner = make_gpu_prune_device(*gpu, *session.model, length);
    inputs.device = pruner.view();
    inputs.facts["device"] = gpu->info().name;  // sums round in another order there: no run goes on elsewhere
  }
  ESPARSE_ASSIGN_OR_RETURN(inputs.figures_of, figures_linear(*session.model, chosen));
  ESPARSE_ASSIGN_OR_RETURN(inputs.one_site_at_a_time,
                           plan(*session.model, chosen, static_cast<int64_t>(inputs.windows.size()), length, memory));
  ESPARSE_ASSIGN_OR_RETURN(const PruneReport report, run_pruning(*session.model, chosen, inputs, directory, resume));
  ESPARSE_RETURN_IF_ERROR(
      print(chosen, report, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()));
  if (html.empty()) return {};
  std::map<std::string, double> linear_seconds;
  for (const PrunedLinear& linear : report.linears) linear_seconds[linear.name] = linear.seconds;
  ESPARSE_ASSIGN_OR_RETURN(const Report page, report_of_model(output, &linear_seconds));
  return write_file_atomically(html, report_html(page)).with_context("--html");
}

std::string option_help(std::string_view name, std::string_view help) {
  std::string text(help);
  if (name != "saliency") return text;
  for (const SaliencyMethod& method : saliency_methods()) text += fmt::format("\n{} - {}", method.name, method.summary);
  return text;
}

// One option per setting of a recipe.
void add_recipe_options(CLI::App& sub, const std::shared_ptr<PruneCommand>& command) {
  const auto add = [&](std::string_view name, std::string_view help) {
    std::string flag = "--" + std::string(name);
    std::ranges::replace(flag, '_', '-');
    sub.add_option_function<std::string>(
           flag,
           [command, setting = std::string(name)](const std::string& value) {
             command->settings.emplace_back(setting, value);
           },
           option_help(name, help))
        ->group("Settings of the recipe (each overrides it)");
  };
  for (const RecipeOption& option : linear_recipe_options()) add(option.name, option.help);
  for (const ModelOption& option : model_recipe_options()) add(option.name, option.help);
}

}  // namespace

CommandBody add_prune_command(CLI::App& app) {
  auto command = std::make_shared<PruneCommand>();
  CLI::App* sub = app.add_subcommand("prune", "Make a sparse copy of a model by a recipe (see 'esparse recipes')");
  sub->add_option("MODEL", command->model, "Model directory (Hugging Face), or a llama2.c .bin file")->required();
  sub->add_option("-o,--output", command->output, "Directory to write; refused if it exists, unless --force")
      ->required();
  sub->add_option("--recipe", command->recipe,
                  "Name of a shipped recipe ('esparse recipes'), or a YAML file (default: esparse; for a budget best)");
  command->calibration.add_options(*sub);
  sub->add_option("--tokenizer", command->tokenizer, "Tokenizer file or directory (default: the model's own)");
  sub->add_option("--memory-budget", command->memory_budget,
                  "Keep the resident memory below this, such as 8GiB; refused if that cannot be");
  sub->add_flag("--resume", command->resume, "Go on with an interrupted run of the same command");
  sub->add_option("--html", command->html, "Write a report to this file: one page that needs nothing else");
  sub->add_option("--report-linear", command->report_linear,
                  "Linear that reports look into (default: the last of the middle block)");
  sub->add_flag("--force", command->force, "Replace an existing output directory, or an interrupted run");
  add_budget_options(*sub, command->budget);
  command->device.add_to(*sub);
  for (const char* other : {"--html", "--memory-budget", "--device"})  // a search prunes many times, on the CPU
    sub->get_option(other)->excludes(sub->get_option("--budget"));
  add_recipe_options(*sub, command);
  add_json_option(*sub, command->common,
                  "output, linears, bytes_dense, bytes, retained_saliency, output_error, magnitude_error, "
                  "worse_than_magnitude, more_damping, peak_resident_bytes, seconds");
  add_threads_option(*sub, command->common);
  sub->footer(
      "Linears of the decoder blocks are pruned block by block; embeddings, norms and the output head stay dense.\n"
      "The copy is an ordinary model directory whose pruned weights are packed (docs/formats). Finished blocks\n"
      "are on the disk at once: after an interruption the same command with --resume goes on behind them.\n\n"
      "Examples:\n"
      "  esparse prune models/novel-1m -o /tmp/best --recipe best --calib models/text/calibration.txt\n"
      "  esparse prune models/novel-1m -o /tmp/sparse --pattern 4:8 --calib models/text/calibration.txt\n"
      "  esparse prune models/novel-1m -o /tmp/wanda --recipe wanda --shuffle global+local --calib "
      "models/text/calibration.txt\n"
      "  esparse prune models/novel-1m -o /tmp/magnitude --recipe magnitude\n"
      "  esparse prune models/novel-1m -o /tmp/gpu --recipe sparsegpt --device cuda --calib "
      "models/text/calibration.txt\n"
      "  esparse prune models/novel-1m -o /tmp/budget --budget 'ppl<=+5%' --calib models/text/calibration.txt\n");
  return [command] { return command->run(); };
}

}  // namespace esparse

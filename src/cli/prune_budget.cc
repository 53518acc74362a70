#include "cli/prune_budget.h"

#include <algorithm>

#include "cli/commands.h"
#include "io/files.h"
#include "search/budget_report.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSearchFolder = "search";

fs::path search_path(const ResumableDirectory& directory) { return directory.working_path() / kSearchFolder; }

bool has_findings(const ResumableDirectory& directory) {
  std::error_code ignored;
  return fs::exists(search_path(directory) / kSearchStateFile, ignored);
}

// Behind the first end of a line at or after `from`; of a text without one behind a space, or where a character begins.
size_t end_of_unit(std::string_view text, size_t from) {
  for (const char end : {'\n', ' '}) {
    const size_t found = text.find(end, from);
    if (found + 1 < text.size() && found != text.npos) return found + 1;
  }
  const auto continues = [&](size_t at) { return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; };
  while (from < text.size() && continues(from)) ++from;
  return from;
}

// The files of the finished model become those of the output; its report also tells of the search.
Status move_model(const fs::path& model, const Json& report, const fs::path& output) {
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(model, error); !error && entry != fs::directory_iterator(); entry.increment(error))
    files.push_back(entry->path());
  for (const fs::path& file : files)
    if (!error) fs::rename(file, output / file.filename(), error);
  if (error)
    return io_error("{}: cannot move the model found to {}: {}", model.string(), output.string(), error.message());
  const fs::path path = output / "esparse.json";
  ESPARSE_ASSIGN_OR_RETURN(Json json, read_json(path));
  json["budget"] = report;
  return write_file_atomically(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace

void add_budget_options(CLI::App& app, BudgetOptions& options) {
  const std::string group = "Budget";
  CLI::Option* budget =
      app.add_option(
             "--budget", options.budgets,
             "Find the model that keeps it: ppl<=+3%, kl<=0.02, speedup>=1.3 or bytes<=0.7x; may be given twice")
          ->allow_extra_args(false)
          ->group(group);
  app.add_option("--candidates", options.candidates, "What the search may choose from for each group, besides dense")
      ->capture_default_str()
      ->needs(budget)
      ->group(group);
  app.add_option("--held-out", options.held_out,
                 "Text on which the budget is measured (default: the last quarter of --calib, which is then not "
                 "calibrated on)")
      ->needs(budget)
      ->group(group);
  app.add_option("--held-out-tokens", options.held_out_tokens, "Measure on so many tokens of it at most")
      ->check(at_least_one())
      ->capture_default_str()
      ->needs(budget)
      ->group(group);
  app.add_option(
         "--objective", options.objective,
         "What to make small where only the loss is limited: bytes or time (default: time, if linears are large "
         "enough to be timed)")
      ->needs(budget)
      ->group(group);
  app.add_option("--attempts", options.attempts, "Models pruned to keep the budget, at most")
      ->check(CLI::Range(1, 100))
      ->capture_default_str()
      ->needs(budget)
      ->group(group);
  app.add_flag("--write-closest", options.write_closest, "Write the closest model where none keeps the budget")
      ->needs(budget)
      ->group(group);
}

Status apply_budget_options(const BudgetOptions& options, BudgetSearch& search) {
  ESPARSE_ASSIGN_OR_RETURN(search.budget, Budget::parse(options.budgets));
  ESPARSE_ASSIGN_OR_RETURN(search.candidates, parse_candidates(options.candidates));
  if (options.objective == "bytes") {
    search.objective = Objective::bytes;
  } else if (options.objective == "time") {
    search.objective = Objective::time;
  } else if (!options.objective.empty()) {
    return invalid_argument("--objective: expected bytes or time, got {:?}", options.objective);
  }
  search.most_attempts = options.attempts;
  return {};
}

std::vector<std::string> split_held_out(std::vector<std::string>& documents) {
  std::vector<std::string> held_out;
  if (documents.size() > 1) {
    const size_t kept = std::max<size_t>(documents.size() * 3 / 4, 1);
    held_out.assign(std::make_move_iterator(documents.begin() + static_cast<int64_t>(kept)),
                    std::make_move_iterator(documents.end()));
    documents.resize(kept);
    return held_out;
  }
  if (documents.empty()) return held_out;
  const size_t cut = end_of_unit(documents[0], documents[0].size() / 4 * 3);
  held_out.push_back(documents[0].substr(cut));
  documents[0].resize(cut);
  return held_out;
}

Result<std::vector<std::vector<int32_t>>> held_out_windows(const std::vector<std::string>& documents,
                                                           const Tokenizer& tokenizer, int64_t length, int64_t tokens,
                                                           const std::string& label) {
  std::string text;
  for (const std::string& document : documents) text += text.empty() ? document : "\n\n" + document;
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer.encode(text, true));
  const auto all = static_cast<int64_t>(ids.size());
  if (all < 2) return invalid_argument("{}: the held-out text has {} tokens, at least 2 are needed", label, all);
  tokens = std::clamp<int64_t>(tokens, 2, all);
  length = std::clamp<int64_t>(length, 2, tokens);
  std::vector<std::vector<int32_t>> windows;
  for (int64_t first = 0; first + length <= tokens; first += length)
    windows.emplace_back(ids.begin() + first, ids.begin() + first + length);
  return windows;
}

Status check_interrupted_search(const ResumableDirectory& directory, bool resume, bool start_over) {
  if (resume || start_over || !has_findings(directory)) return {};
  return invalid_argument(
      "{}: holds the findings of an interrupted search; go on with --resume, or start over with --force",
      directory.working_path().string());
}

Status run_budget(BudgetSearch search, const BudgetOptions& options, ResumableDirectory& directory, bool resume,
                  bool json) {
  search.resume = resume && has_findings(directory);
  if (!search.resume && directory.has_leftovers()) ESPARSE_RETURN_IF_ERROR(directory.clear());
  search.directory = search_path(directory);
  std::error_code error;
  fs::create_directories(search.directory, error);
  if (error) return io_error("{}: {}", search.directory.string(), error.message());
  auto found = search_budget(search);
  if (!found.ok()) {
    if (!has_findings(directory)) static_cast<void>(directory.clear());  // nothing worth keeping
    return found.status();
  }
  const BudgetResult& result = *found;
  const Json report = budget_json(search, result);
  ESPARSE_RETURN_IF_ERROR(
      print_out(json ? report.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n" : budget_text(result)));
  if (!result.met && !options.write_closest) {
    ESPARSE_RETURN_IF_ERROR(directory.clear());
    return invalid_argument("--budget: {} cannot be kept ({}); nothing was written, --write-closest would write it",
                            search.budget.text(), result.verdict);
  }
  ESPARSE_RETURN_IF_ERROR(move_model(result.model, report, directory.path()));
  return directory.commit();
}

}  // namespace esparse

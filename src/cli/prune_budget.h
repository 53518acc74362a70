// esparse prune --budget: options, held-out text, and what becomes of the model that was found.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/status.h"
#include "io/resumable_directory.h"
#include "search/budget_search.h"
#include "text/tokenizer.h"

namespace esparse {

struct BudgetOptions {
  std::vector<std::string> budgets;
  std::string candidates{kDefaultCandidates};
  std::string held_out, objective;
  int64_t held_out_tokens = 8192;
  int attempts = 3;
  bool write_closest = false;

  bool asked() const { return !budgets.empty(); }
};

void add_budget_options(CLI::App& app, BudgetOptions& options);

// Fills the search by the options; errors name them.
Status apply_budget_options(const BudgetOptions& options, BudgetSearch& search);

// Splits off the last quarter of the calibration text: of several documents the last ones, of a single one its end.
std::vector<std::string> split_held_out(std::vector<std::string>& documents);
// Consecutive windows of `length` tokens, at most `tokens` in all; a text that is shorter is one shorter window.
// Refuses one of fewer than 2 tokens.
Result<std::vector<std::vector<int32_t>>> held_out_windows(const std::vector<std::string>& documents,
                                                           const Tokenizer& tokenizer, int64_t length, int64_t tokens,
                                                           const std::string& label);

// Searches below directory.working_path(), prints, and makes the model found the output; nothing where the budget is
// not kept, unless the options ask for the closest.
Status run_budget(BudgetSearch search, const BudgetOptions& options, ResumableDirectory& directory, bool resume,
                  bool json);

// Refuses leftovers of an interrupted search that are neither to be taken over nor thrown away.
Status check_interrupted_search(const ResumableDirectory& directory, bool resume, bool start_over);

}  // namespace esparse

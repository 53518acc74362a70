// Finds the model that keeps a budget: measures what each choice costs, solves for the best of them, prunes it and
// measures what was promised (docs/methods/budget.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/model.h"
#include "prune/prune_run.h"
#include "prune/recipe.h"
#include "search/budget.h"
#include "search/held_out.h"
#include "search/pareto_front.h"
#include "search/search_space.h"
#include "search/search_state.h"

namespace esparse {

// What is made as small as possible where only the loss is limited. Where bytes or speed are limited, it is the loss.
enum class Objective { bytes, time };

struct BudgetSearch {
  std::function<Result<std::unique_ptr<Model>>()> open_dense;  // the dense model, anew every time
  Recipe recipe;                                               // its patterns are replaced, what a rule spares is not
  Budget budget;
  std::vector<PruneTarget> candidates;
  std::optional<Objective> objective;  // nothing: time where linears are large enough to be timed, else bytes
  PruneRunInputs prune;                // windows, facts, tokenizer
  std::vector<std::vector<int32_t>> held_out;
  std::filesystem::path directory;  // for the state of the search and for models that are tried; exists
  bool resume = false;              // take over what an interrupted search left there
  int most_attempts = 3;
};

// A model on the way from dense to sparse: predicted, or pruned and measured.
struct ModelPoint {
  std::string name;              // "dense", "uniform 2:4", "searched"; of predicted ones empty
  std::vector<int32_t> options;  // one per group
  Costs sums;                    // loss: sum of the divergences of the groups; bytes and seconds of the whole model
  double predicted_kl = 0,
         predicted_rise = 0;  // by what has been measured in the end; rise: log of the ratio of perplexities
  std::optional<MeasuredModel> measured;
};

struct BudgetResult {
  bool met = false;
  std::string verdict;  // one line: what was promised and measured, or how close it came
  Objective objective = Objective::bytes;
  double dense_nll = 0;
  int64_t held_out_tokens = 0;
  Costs dense;  // of the dense model
  std::vector<SearchGroup> groups;
  std::vector<ModelPoint> front;     // some of the predicted front, from few to many bytes
  std::vector<ModelPoint> uniform;   // the same pattern everywhere
  std::vector<ModelPoint> attempts;  // what the search asked for, in order; predictions as they were before measuring
  std::optional<size_t> best;        // of the attempts: the one that keeps the budget, or comes closest
  Recipe recipe;                     // of the best attempt
  std::filesystem::path model;       // its directory, below BudgetSearch::directory
};

Result<BudgetResult> search_budget(const BudgetSearch& search);

}  // namespace esparse

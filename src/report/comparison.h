// Several models measured the same way, side by side: the table of `esparse compare`, its JSON, and what the page
// plots.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/estimates.h"
#include "io/json.h"
#include "report/terminal.h"

namespace esparse {

// On a text; against the dense model token by token.
struct TextFigures {
  Estimate nll, perplexity;  // nll: nats per token
  Estimate nats_more;        // nats per token more than dense, paired
  Estimate kl;               // nats
  double kl_p99 = 0, same_top = 1;

  Json to_json() const;
  static Result<TextFigures> parse(const Json& json, const std::string& label);
};

struct SpeedFigures {
  int64_t linear_bytes = 0, weight_bytes = 0;      // in memory, ready to run
  double prefill_speedup = 0, decode_speedup = 0;  // against dense, by turns; 0: not measured
  double prefill_tokens_per_second = 0, decode_tokens_per_second = 0;
  int turns = 0;

  bool measured() const { return turns > 0; }
  Json to_json() const;
  static Result<SpeedFigures> parse(const Json& json, const std::string& label);
};

struct ComparedTask {
  std::string name;    // "PIQA"
  std::string figure;  // "acc_norm"
  Estimate value;      // a share, 0 to 1

  Json to_json() const;
  static Result<ComparedTask> parse(const Json& json, const std::string& label);
};

struct ComparedModel {
  std::string name;             // "dense", "best 2:4"
  std::string recipe, pattern;  // empty for the dense model
  TextFigures text;
  SpeedFigures speed;
  double prune_seconds = -1;  // -1: not pruned, or by several runs
  std::vector<ComparedTask> tasks;
  std::string published;  // what papers have for this model and method; empty: nothing

  bool is_dense() const { return recipe.empty(); }
  Json to_json() const;
};

// By accuracy: the fewest nats more first, dense before all.
void sort_by_accuracy(std::vector<ComparedModel>& models);

// Two tables: what it costs and gains; zero-shot tasks, where there are any.
std::string comparison_text(const std::vector<ComparedModel>& models, const Terminal& terminal);

}  // namespace esparse

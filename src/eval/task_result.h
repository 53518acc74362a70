// Figures of one task from the scores of its items, as the evaluation harness counts them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/estimates.h"
#include "eval/score_choices.h"
#include "eval/tasks.h"

namespace esparse {

struct ItemResult {
  std::vector<ChoiceScore> scores;
  int64_t gold = 0;
  // The choice with the largest log-likelihood, the first of several; divided by the characters of the answer; by its
  // bytes.
  int64_t best = 0, best_norm = 0, best_bytes = 0;
};

struct TaskResult {
  const TaskSpec* spec = nullptr;
  std::string file_sha256;
  int64_t items = 0;      // done
  int64_t all_items = 0;  // more than `items` when interrupted
  Estimate acc;           // TaskKind::last_word: the continuation is what the model would write
  std::optional<Estimate> acc_norm, acc_bytes;
  std::optional<Estimate> perplexity;  // TaskKind::last_word: exp of the mean of -log p(continuation)
  ScoreStatistics statistics;
  std::vector<ItemResult> details;  // one an item

  bool complete() const { return items == all_items; }
};

// `scores` of the first items, which may be fewer than `items` when interrupted.
TaskResult count_task(const TaskSpec& spec, std::span<const TaskItem> items,
                      std::vector<std::vector<ChoiceScore>> scores);

// Encodes and scores. Shows progress. Errors name the file and the item; an interruption before the first item
// is one.
Result<TaskResult> run_task(Engine& engine, const Tokenizer& tokenizer, const Task& task,
                            const EncodeOptions& encoding);

}  // namespace esparse

// The results of evaluation as tables.
#pragma once

#include <span>
#include <string>

#include "eval/perplexity.h"
#include "eval/prepared_text.h"
#include "eval/task_result.h"

namespace esparse {

struct EvalRow {
  PreparedText text;
  Perplexity measured;
  double seconds = 0;
};

// One table, a second one where there is a reference, and the conditions below.
std::string text_table(const EvalRow& row);
// Empty without results.
std::string task_table(std::span<const TaskResult> results);

}  // namespace esparse

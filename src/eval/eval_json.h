// The results of evaluation as JSON, for scripts and for what is kept from one run to the next.
#pragma once

#include "eval/perplexity.h"
#include "eval/prepared_text.h"
#include "eval/task_result.h"
#include "io/json.h"

namespace esparse {

// {"perplexity", "perplexity_stderr", "nll", "nll_stderr", "bits_per_byte", "tokens", "windows", "context", "complete",
// "text": {...}} and, with a reference, "against": {...}.
Json perplexity_json(const PreparedText& text, const Perplexity& measured);

// {"task", "file_sha256", "items", "complete", "acc", "acc_stderr", ...}.
Json task_json(const TaskResult& result);

// One line an item: {"task", "item", "gold", "log_likelihoods", "best", "best_norm", "best_bytes"} or, where there is
// one continuation, "greedy".
std::string item_lines(const TaskResult& result);

}  // namespace esparse

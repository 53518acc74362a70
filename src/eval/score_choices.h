// How probable a model finds each answer of each question, many questions at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "eval/tasks.h"
#include "eval/windows.h"
#include "model/engine.h"
#include "text/tokenizer.h"

namespace esparse {

// As tokens: what is read, and what is asked about.
struct EncodedChoice {
  std::vector<int32_t> context, continuation;
};
using EncodedItem = std::vector<EncodedChoice>;

struct EncodeOptions {
  std::optional<int32_t> bos;    // in front of every context
  std::optional<int32_t> start;  // stands for an empty context; with `bos` not needed
};

// The BOS that the tokenizer wants, unless `rule` is none.
EncodeOptions encode_options(const Tokenizer& tokenizer, BosRule rule);

// As the evaluation harness does: white space at the end of the context belongs to the continuation; context and
// continuation are tokenised together, and what is beyond the number of tokens of the context alone is the
// continuation, or where nothing is, the continuation's own tokens. Refuses a continuation without tokens, and an empty
// context that has nothing to stand for it.
Result<EncodedItem> encode_item(const TaskItem& item, const Tokenizer& tokenizer, const EncodeOptions& options);

struct ChoiceScore {
  double log_likelihood = 0;  // of the continuation, in nats
  bool greedy = false;        // every token of it is the most probable one
};

struct ScoreStatistics {
  int64_t tokens = 0;      // that all choices of the finished items have, contexts included
  int64_t tokens_run = 0;  // that the model read: what the choices of an item begin with alike is read once
  int64_t cut_items = 0;   // whose contexts lost tokens at their beginning, for want of positions
};

// Scores of each item, in order; fewer items when interrupted (base/interrupt.h). Items run in batches of several
// hundred tokens; choices of one item share the keys and values of what they have in common. Of a context that is too
// long for the model the end is kept. `on_batch` is called with the number of items done since the last call. Refused:
// a continuation longer than the model's positions, ids outside the vocabulary, logits that are not finite.
Result<std::vector<std::vector<ChoiceScore>>> score_items(Engine& engine, std::span<const EncodedItem> items,
                                                          ScoreStatistics& statistics,
                                                          const std::function<void(int64_t)>& on_batch);

}  // namespace esparse

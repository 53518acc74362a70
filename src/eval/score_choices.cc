#include "eval/score_choices.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/interrupt.h"
#include "base/parallel.h"
#include "kernels/elementwise.h"
#include "text/unicode.h"

namespace esparse {
namespace {

constexpr int64_t kBatchTokens = 512;  // enough for the products of many tokens to run at full speed
constexpr int64_t kLogitRows = 128;    // logits of this many tokens exist at a time

// Behind row `row` of the batch comes `target`, in a choice.
struct Wanted {
  int64_t row = 0;
  int32_t target = 0;
  size_t item = 0, choice = 0;
};

// Tokens of several items as segments: of each item what its choices begin with alike, then the rest of each choice.
class Batch {
 public:
  Batch(Engine& engine, ScoreStatistics& statistics) : engine_(engine), statistics_(statistics) {}

  int64_t tokens() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t longest() const { return longest_; }

  Status add(const EncodedItem& item, size_t index) {
    std::vector<std::vector<int32_t>> inputs;  // of each choice, but for its last token
    bool cut = false;
    for (const EncodedChoice& choice : item) {
      std::vector<int32_t> all = choice.context;
      all.insert(all.end(), choice.continuation.begin(), choice.continuation.end());
      const auto most = static_cast<size_t>(engine_.config().max_positions) + 1;
      if (choice.continuation.size() >= most)
        return invalid_argument("item {}: an answer has {} tokens, the model has {} positions", index + 1,
                                choice.continuation.size(), most - 1);
      if (all.size() > most) all.erase(all.begin(), all.end() - static_cast<ptrdiff_t>(most)), cut = true;
      statistics_.tokens += static_cast<int64_t>(all.size()) - 1;
      longest_ = std::max(longest_, static_cast<int64_t>(all.size()));
      all.pop_back();
      inputs.push_back(std::move(all));
    }
    statistics_.cut_items += cut;
    const int64_t shared = shared_prefix(inputs), start = tokens();
    append(std::span(inputs[0]).first(shared), 0);
    for (size_t choice = 0; choice < inputs.size(); ++choice) {
      const int64_t rest = tokens() - shared;  // row of a position behind the shared ones
      append(std::span(inputs[choice]).subspan(shared), shared);
      const std::vector<int32_t>& targets = item[choice].continuation;
      const int64_t first = static_cast<int64_t>(inputs[choice].size()) - static_cast<int64_t>(targets.size());
      for (size_t i = 0; i < targets.size(); ++i) {
        const int64_t position = first + static_cast<int64_t>(i);
        wanted_.push_back({(position < shared ? start : rest) + position, targets[i], index, choice});
      }
    }
    return {};
  }

  // Adds log p of every wanted token to scores[item][choice].
  Status run(Sequence& scratch, std::vector<std::vector<ChoiceScore>>& scores) {
    statistics_.tokens_run += tokens();
    ESPARSE_RETURN_IF_ERROR(engine_.forward_segments(tokens_, segments_, scratch));
    std::ranges::stable_sort(wanted_, {}, &Wanted::row);
    std::vector<double> log_probs(wanted_.size());
    std::vector<uint8_t> greedy(wanted_.size());
    for (size_t first = 0; first < wanted_.size();) {
      ESPARSE_ASSIGN_OR_RETURN(first, score_rows(scratch, first, log_probs, greedy));
    }
    // In the order of an item's tokens, which sorting by row has kept within each choice.
    for (size_t i = 0; i < wanted_.size(); ++i) {
      ChoiceScore& score = scores[wanted_[i].item][wanted_[i].choice];
      score.log_likelihood += log_probs[i];
      score.greedy = score.greedy && greedy[i] != 0;
      if (!std::isfinite(score.log_likelihood)) return numeric_error("the model's logits are not finite");
    }
    return {};
  }

 private:
  static int64_t shared_prefix(std::span<const std::vector<int32_t>> inputs) {
    size_t shared = inputs[0].size();
    for (const std::vector<int32_t>& input : inputs) {
      const auto [end, other] = std::mismatch(inputs[0].begin(), inputs[0].begin() + static_cast<ptrdiff_t>(shared),
                                              input.begin(), input.end());
      shared = static_cast<size_t>(end - inputs[0].begin());
    }
    return static_cast<int64_t>(shared);
  }

  void append(std::span<const int32_t> tokens, int64_t first_position) {
    if (tokens.empty()) return;
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    segments_.push_back({static_cast<int64_t>(tokens.size()), first_position});
  }

  // The wanted tokens from `first` on whose rows fit into one matrix of logits; returns the next one.
  Result<size_t> score_rows(Sequence& scratch, size_t first, std::span<double> log_probs,
                            std::span<uint8_t> greedy) const {
    std::vector<size_t> slots;  // [wanted] of which row of the logits
    std::vector<int64_t> rows;  // of the batch
    size_t next = first;
    for (; next < wanted_.size(); ++next) {
      if (rows.empty() || rows.back() != wanted_[next].row) {
        if (std::ssize(rows) == kLogitRows) break;
        rows.push_back(wanted_[next].row);
      }
      slots.push_back(rows.size() - 1);
    }
    Matrix<float> logits(std::ssize(rows), engine_.config().vocab_size);
    ESPARSE_RETURN_IF_ERROR(engine_.logits(rows, scratch, logits.view()));
    std::vector<double> log_sums(rows.size());
    std::vector<int64_t> tops(rows.size());
    parallel_for(std::ssize(rows), [&](int64_t slot, int) {
      const auto values = logits.row(slot);
      log_sums[slot] = log_sum_exp(values);
      tops[slot] = std::ranges::max_element(values) - values.begin();
    });
    for (size_t i = first; i < next; ++i) {
      const size_t slot = slots[i - first];
      log_probs[i] = logits(static_cast<int64_t>(slot), wanted_[i].target) - log_sums[slot];
      greedy[i] = tops[slot] == wanted_[i].target;
    }
    return next;
  }

  Engine& engine_;
  ScoreStatistics& statistics_;
  std::vector<int32_t> tokens_;
  std::vector<Segment> segments_;
  std::vector<Wanted> wanted_;
  int64_t longest_ = 1;
};

// Bytes of white space at the end.
size_t trailing_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && is_white_space(code_point_before(text, end).value)) end -= code_point_before(text, end).bytes;
  return text.size() - end;
}

Result<EncodedChoice> encode_choice(const Choice& choice, const Tokenizer& tokenizer, const EncodeOptions& options) {
  const size_t moved = trailing_space(choice.context);
  const std::string context = choice.context.substr(0, choice.context.size() - moved);
  const std::string continuation = choice.context.substr(context.size()) + choice.continuation;
  EncodedChoice encoded;
  if (options.bos) encoded.context.push_back(*options.bos);
  size_t context_tokens = 0;
  if (!context.empty()) {
    ESPARSE_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer.encode(context, false));
    context_tokens = ids.size();
    encoded.context.insert(encoded.context.end(), ids.begin(), ids.end());
  }
  if (encoded.context.empty()) {
    if (!options.start) return invalid_argument("an empty context needs a BOS or EOS, the tokenizer has neither");
    encoded.context.push_back(*options.start);
  }
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<int32_t> whole, tokenizer.encode(context + continuation, false));
  if (whole.size() > context_tokens) {
    encoded.continuation.assign(whole.begin() + static_cast<ptrdiff_t>(context_tokens), whole.end());
    return encoded;
  }
  // A tokenizer that joins words has put the answer and the end of the context into one token; the harness gives up.
  ESPARSE_ASSIGN_OR_RETURN(encoded.continuation, tokenizer.encode(continuation, false));
  if (encoded.continuation.empty()) return invalid_argument("the answer \"{}\" has no tokens", choice.answer);
  return encoded;
}

}  // namespace

EncodeOptions encode_options(const Tokenizer& tokenizer, BosRule rule) {
  const std::optional<int32_t> bos = tokenizer.bos_id();
  return {.bos = rule == BosRule::none ? std::nullopt : bos, .start = bos ? bos : tokenizer.eos_id()};
}

Result<EncodedItem> encode_item(const TaskItem& item, const Tokenizer& tokenizer, const EncodeOptions& options) {
  EncodedItem encoded;
  for (const Choice& choice : item.choices) {
    ESPARSE_ASSIGN_OR_RETURN(EncodedChoice tokens, encode_choice(choice, tokenizer, options));
    encoded.push_back(std::move(tokens));
  }
  return encoded;
}

Result<std::vector<std::vector<ChoiceScore>>> score_items(Engine& engine, std::span<const EncodedItem> items,
                                                          ScoreStatistics& statistics,
                                                          const std::function<void(int64_t)>& on_batch) {
  std::vector<std::vector<ChoiceScore>> scores;
  std::unique_ptr<Sequence> scratch;
  while (scores.size() < items.size() && !interrupted()) {
    Batch batch(engine, statistics);
    const size_t first = scores.size();
    for (size_t i = first; i < items.size() && batch.tokens() < kBatchTokens; ++i) {
      ESPARSE_RETURN_IF_ERROR(batch.add(items[i], i));
      scores.emplace_back(items[i].size(), ChoiceScore{0, true});
    }
    if (scratch == nullptr || batch.longest() > scratch->capacity()) {
      scratch.reset();  // makes room
      ESPARSE_ASSIGN_OR_RETURN(scratch, engine.make_scratch(batch.longest()));
    }
    ESPARSE_RETURN_IF_ERROR(batch.run(*scratch, scores));
    on_batch(static_cast<int64_t>(scores.size() - first));
  }
  return scores;
}

}  // namespace esparse

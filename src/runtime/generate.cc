#include "runtime/generate.h"

#include <algorithm>
#include <chrono>

namespace esparse {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

bool is_eos(const ModelConfig& config, const Tokenizer& tokenizer, int32_t id) {
  return std::ranges::find(config.eos_ids, id) != config.eos_ids.end() || tokenizer.eos_id() == id;
}

// Chooses the token behind the latest pass, among the first `choices` ids.
class NextToken {
 public:
  NextToken(Engine& engine, const SamplingOptions& options, int64_t choices)
      : engine_(engine), greedy_(options.temperature == 0), sampler_(options), choices_(choices) {}

  Result<int32_t> choose(int64_t last_row, Sequence& sequence) {
    if (greedy_) {
      ESPARSE_ASSIGN_OR_RETURN(const BestToken best, engine_.best_token(sequence));
      return best.id;
    }
    Matrix<float> logits(1, engine_.config().vocab_size);
    ESPARSE_RETURN_IF_ERROR(engine_.logits(last_row, sequence, logits.view()));
    return sampler_.next(logits.row(0).first(static_cast<size_t>(choices_)));
  }

 private:
  Engine& engine_;
  bool greedy_;
  Sampler sampler_;
  int64_t choices_;
};

// Turns ids into text as they come. Decoding always begins a few ids back, so that a step costs the same however long
// the text is, and the first piece of text keeps the space in front of it.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, std::vector<int32_t> prompt_ids)
      : tokenizer_(tokenizer), ids_(std::move(prompt_ids)), shown_(ids_.size()) {
    start_ = shown_ - std::min(shown_, kOverlapIds);
  }

  // The text that `id` completes; empty while it ends inside a UTF-8 sequence, unless it is the `last` one.
  Result<std::string> push(int32_t id, bool last) {
    ids_.push_back(id);
    const std::span<const int32_t> ids = ids_;
    ESPARSE_ASSIGN_OR_RETURN(const std::string before, tokenizer_.decode(ids.subspan(start_, shown_ - start_)));
    ESPARSE_ASSIGN_OR_RETURN(const std::string after, tokenizer_.decode(ids.subspan(start_)));
    if (!last && complete_utf8_prefix(after) != after.size()) return std::string();
    start_ = shown_;
    shown_ = ids_.size();
    std::string piece = after.size() > before.size() ? after.substr(before.size()) : std::string();
    text_ += piece;
    return piece;
  }
  const std::string& text() const { return text_; }

 private:
  static constexpr size_t kOverlapIds = 4;  // byte tokens of one character at most

  const Tokenizer& tokenizer_;
  std::vector<int32_t> ids_;
  size_t shown_;  // ids whose text has been given out
  size_t start_;  // where decoding begins
  std::string text_;
};

}  // namespace

size_t complete_utf8_prefix(std::string_view text) {
  size_t start = text.size();
  while (start > 0 && text.size() - start < 4) {
    --start;
    const auto byte = static_cast<unsigned char>(text[start]);
    if ((byte & 0xc0) == 0x80) continue;  // a continuation byte: its lead stands further left
    const size_t length = byte < 0x80 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return start + length > text.size() ? start : text.size();
  }
  return text.size();
}

Result<Generation> generate(Engine& engine, const Tokenizer& tokenizer, std::string_view prompt,
                            const GenerateOptions& options, const std::function<void(std::string_view)>& on_text) {
  ESPARSE_RETURN_IF_ERROR(options.sampling.validate());
  if (options.max_new_tokens < 1)
    return invalid_argument("-n: expected at least 1 token, got {}", options.max_new_tokens);
  const ModelConfig& config = engine.config();
  Generation result;
  ESPARSE_ASSIGN_OR_RETURN(result.prompt_ids, tokenizer.encode(prompt, true));
  const auto prompt_tokens = static_cast<int64_t>(result.prompt_ids.size());
  if (prompt_tokens == 0) return invalid_argument("--prompt: the tokenizer gives no token for it and adds no BOS");
  const int64_t room = config.max_positions - prompt_tokens;
  if (room < 0)
    return invalid_argument("--prompt: {} tokens, the model has {} positions (max_position_embeddings)", prompt_tokens,
                            config.max_positions);
  const int64_t budget = std::min(options.max_new_tokens, room + 1);  // the last token needs no position of its own

  // Embedding tables are often padded beyond the tokenizer's ids; the padding has no text.
  const int64_t choices = std::min(config.vocab_size, tokenizer.vocab_size());
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Sequence> sequence,
                           engine.make_sequence({.capacity = std::min(config.max_positions, prompt_tokens + budget),
                                                 .kv_dtype = options.kv_dtype,
                                                 .choices = choices}));
  NextToken next(engine, options.sampling, choices);
  TextStream stream(tokenizer, result.prompt_ids);

  auto start = Clock::now();
  std::vector<int32_t> input = result.prompt_ids;
  while (true) {
    ESPARSE_RETURN_IF_ERROR(engine.forward(input, *sequence, LogitsOf::last_token));
    ESPARSE_ASSIGN_OR_RETURN(const int32_t id, next.choose(std::ssize(input) - 1, *sequence));
    if (result.prefill_seconds == 0) {
      result.prefill_seconds = seconds_since(start);
      start = Clock::now();
    } else {
      ++result.decode_steps;
    }
    if (options.stop_at_eos && is_eos(config, tokenizer, id)) break;
    result.new_ids.push_back(id);
    const bool last = static_cast<int64_t>(result.new_ids.size()) == budget;
    ESPARSE_ASSIGN_OR_RETURN(const std::string piece, stream.push(id, last));
    if (!piece.empty()) on_text(piece);
    if (last) break;
    input = {id};
  }
  result.decode_seconds = seconds_since(start);
  result.text = stream.text();
  return result;
}

}  // namespace esparse

#include "runtime/engine_bench.h"

#include <random>

#include "base/timing.h"

namespace esparse {
namespace {

std::vector<int32_t> random_tokens(int64_t count, int64_t vocab_size) {
  std::minstd_rand random(1);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(static_cast<int64_t>(random()) % vocab_size);
  return tokens;
}

// Seconds of one forward pass with the logits of its last token.
Result<double> time_step(const Model& model, std::span<const int32_t> tokens, KvCache& cache, Matrix<float>& logits) {
  Status status;
  const double seconds = seconds_of([&] {
    const auto hidden = model.forward(tokens, cache);
    status = hidden.status();
    if (hidden.ok()) model.logits(hidden->view().rows_from(hidden->rows() - 1, 1), logits.view());
  });
  ESPARSE_RETURN_IF_ERROR(status);
  return seconds;
}

}  // namespace

Result<EngineTimes> time_engine(const Model& model, int64_t prompt_tokens, int64_t gen_tokens, int repetitions) {
  const ModelConfig& config = model.config();
  if (prompt_tokens < 1 || gen_tokens < 1 || prompt_tokens > config.max_positions ||
      gen_tokens > config.max_positions - prompt_tokens)
    return invalid_argument(
        "--prompt-tokens, --gen-tokens: expected at least 1 each and together at most {} (the "
        "positions of the model), got {} and {}",
        config.max_positions, prompt_tokens, gen_tokens);
  const std::vector<int32_t> tokens = random_tokens(prompt_tokens + gen_tokens, config.vocab_size);
  const std::span<const int32_t> all = tokens;
  Matrix<float> logits(1, config.vocab_size);
  std::vector<double> prefill, decode;
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    KvCache cache = model.make_cache(prompt_tokens + gen_tokens);
    ESPARSE_ASSIGN_OR_RETURN(const double prompt_seconds, time_step(model, all.first(prompt_tokens), cache, logits));
    prefill.push_back(prompt_seconds);
    double gen_seconds = 0;
    for (int64_t i = 0; i < gen_tokens; ++i) {
      ESPARSE_ASSIGN_OR_RETURN(const double step, time_step(model, all.subspan(prompt_tokens + i, 1), cache, logits));
      gen_seconds += step;
    }
    decode.push_back(gen_seconds / static_cast<double>(gen_tokens));
  }
  return EngineTimes{median(prefill), median(decode), prompt_tokens, gen_tokens};
}

}  // namespace esparse

#include "runtime/engine_bench.h"

#include <chrono>
#include <vector>

#include "base/timing.h"

namespace esparse {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<int32_t> prompt_of(int64_t tokens, int64_t vocab_size) {
  std::vector<int32_t> ids(tokens);
  uint32_t state = 1;
  for (int32_t& id : ids) {
    state = state * 1664525u + 1013904223u;  // Numerical Recipes
    id = static_cast<int32_t>((state >> 8) % static_cast<uint64_t>(vocab_size));
  }
  return ids;
}

Status check_counts(const ModelConfig& config, int64_t prompt_tokens, int64_t gen_tokens, int64_t repetitions) {
  if (prompt_tokens < 1 || gen_tokens < 1 || repetitions < 1)
    return invalid_argument("expected at least 1 prompt token, generated token and repetition, got {}, {} and {}",
                            prompt_tokens, gen_tokens, repetitions);
  if (gen_tokens > config.max_positions - prompt_tokens)
    return invalid_argument("{} prompt tokens and {} generated ones: the model has {} positions", prompt_tokens,
                            gen_tokens, config.max_positions);
  return {};
}

// The most probable id. A time that belongs to wrong numbers is worth nothing.
Result<int32_t> best_id(Engine& engine, Sequence& sequence) {
  ESPARSE_ASSIGN_OR_RETURN(const BestToken best, engine.best_token(sequence));
  if (best.zero || !best.finite)
    return numeric_error("the model's logits are {}", best.zero ? "all zero" : "not finite");
  return best.id;
}

}  // namespace

Result<EngineTimes> time_engine(Engine& engine, int64_t prompt_tokens, int64_t gen_tokens, int64_t repetitions,
                                DType kv_dtype) {
  ESPARSE_RETURN_IF_ERROR(check_counts(engine.config(), prompt_tokens, gen_tokens, repetitions));
  const std::vector<int32_t> prompt = prompt_of(prompt_tokens, engine.config().vocab_size);
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Sequence> sequence,
                           engine.make_sequence({.capacity = prompt_tokens + gen_tokens, .kv_dtype = kv_dtype}));
  std::vector<double> prefill, decode;
  for (int64_t repetition = 0; repetition < repetitions; ++repetition) {
    sequence->set_length(0);
    std::vector<int32_t> input = prompt;
    for (int64_t step = 0; step <= gen_tokens; ++step) {
      const auto start = Clock::now();
      ESPARSE_RETURN_IF_ERROR(engine.forward(input, *sequence, LogitsOf::last_token));
      ESPARSE_ASSIGN_OR_RETURN(const int32_t id, best_id(engine, *sequence));
      (step == 0 ? prefill : decode).push_back(std::chrono::duration<double>(Clock::now() - start).count());
      input = {id};
    }
  }
  return EngineTimes{median(prefill), median(decode), prompt_tokens, gen_tokens, sequence->kv_bytes()};
}

}  // namespace esparse

#include "runtime/engine_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
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

Status check_counts(const Model& model, int64_t prompt_tokens, int64_t gen_tokens, int64_t repetitions) {
  if (prompt_tokens < 1 || gen_tokens < 1 || repetitions < 1)
    return invalid_argument("expected at least 1 prompt token, generated token and repetition, got {}, {} and {}",
                            prompt_tokens, gen_tokens, repetitions);
  if (gen_tokens > model.config().max_positions - prompt_tokens)
    return invalid_argument("{} prompt tokens and {} generated ones: the model has {} positions", prompt_tokens,
                            gen_tokens, model.config().max_positions);
  return {};
}

// The most probable id. A time that belongs to wrong numbers is worth nothing.
Result<int32_t> best_id(std::span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  const bool zero = std::all_of(logits.begin(), logits.end(), [](float value) { return value == 0.0f; });
  const bool finite = std::all_of(logits.begin(), logits.end(), [](float value) { return std::isfinite(value); });
  if (zero || !finite) return numeric_error("the model's logits are {}", zero ? "all zero" : "not finite");
  return static_cast<int32_t>(best - logits.begin());
}

}  // namespace

Result<EngineTimes> time_engine(const Model& model, int64_t prompt_tokens, int64_t gen_tokens, int64_t repetitions,
                                DType kv_dtype) {
  ESPARSE_RETURN_IF_ERROR(check_counts(model, prompt_tokens, gen_tokens, repetitions));
  const std::vector<int32_t> prompt = prompt_of(prompt_tokens, model.config().vocab_size);
  KvCache cache = model.make_cache(prompt_tokens + gen_tokens, kv_dtype);
  Matrix<float> logits(1, model.config().vocab_size);
  std::vector<double> prefill, decode;
  for (int64_t repetition = 0; repetition < repetitions; ++repetition) {
    cache.set_length(0);
    std::vector<int32_t> input = prompt;
    for (int64_t step = 0; step <= gen_tokens; ++step) {
      const auto start = Clock::now();
      ESPARSE_ASSIGN_OR_RETURN(const Matrix<float> hidden, model.forward(input, cache));
      model.logits(hidden.view().rows_from(hidden.rows() - 1, 1), logits.view());
      (step == 0 ? prefill : decode).push_back(std::chrono::duration<double>(Clock::now() - start).count());
      ESPARSE_ASSIGN_OR_RETURN(const int32_t id, best_id(logits.row(0)));
      input = {id};
    }
  }
  return EngineTimes{median(prefill), median(decode), prompt_tokens, gen_tokens};
}

}  // namespace esparse

// How fast a model runs: one prompt, then token after token.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "base/status.h"
#include "model/engine.h"

namespace esparse {

struct EngineTimes {
  double prefill_seconds = 0;           // all of the prompt, and the logits behind it
  double decode_seconds_per_token = 0;  // median over all generated tokens
  int64_t prompt_tokens = 0;
  int64_t gen_tokens = 0;
  int64_t kv_bytes = 0;  // of the keys and values of all of these tokens
};

// Medians over `repetitions` runs. The prompt is a fixed pseudo-random sequence of ids; every later token is the most
// probable one. Refuses counts below 1, more positions than the model has, and logits that are not finite or all zero.
Result<EngineTimes> time_engine(Engine& engine, int64_t prompt_tokens, int64_t gen_tokens, int64_t repetitions,
                                DType kv_dtype = DType::f16);

}  // namespace esparse

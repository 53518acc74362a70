// How long a whole model takes to read a prompt and to write.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "model/model.h"

namespace esparse {

struct EngineTimes {
  double prefill_seconds = 0;           // prompt_tokens at once, and the logits of the last
  double decode_seconds_per_token = 0;  // one token and its logits, behind the prompt
  int64_t prompt_tokens = 0, gen_tokens = 0;
};

// Medians of `repetitions` runs over fixed pseudo-random tokens; nothing is sampled or turned into text. Refuses token
// counts below 1 and more than the model has positions.
Result<EngineTimes> time_engine(const Model& model, int64_t prompt_tokens, int64_t gen_tokens, int repetitions);

}  // namespace esparse

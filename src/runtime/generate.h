// Continues a prompt.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "model/engine.h"
#include "runtime/sampler.h"
#include "text/tokenizer.h"

namespace esparse {

struct GenerateOptions {
  int64_t max_new_tokens = 128;
  SamplingOptions sampling;
  bool stop_at_eos = true;
  DType kv_dtype = DType::f16;  // keys and values in the cache: f32, f16 or bf16
};

struct Generation {
  std::vector<int32_t> prompt_ids;
  std::vector<int32_t> new_ids;  // the EOS that ended it is not among them
  std::string text;              // of the new ids
  double prefill_seconds = 0;
  double decode_seconds = 0;  // from the second new token on: the first one comes out of the prefill
  int64_t decode_steps = 0;
};

// `on_text` receives the continuation piece by piece, each piece complete UTF-8 (incomplete sequences wait). Ends at
// max_new_tokens, at an EOS of the config, or when the model has no position left. Refuses an empty prompt for a
// tokenizer without BOS, and a prompt longer than the model's context. Without a temperature the engine chooses the
// token where it runs; otherwise the logits come here, so that a seed gives the same choices on every device that gives
// the same logits.
Result<Generation> generate(Engine& engine, const Tokenizer& tokenizer, std::string_view prompt,
                            const GenerateOptions& options, const std::function<void(std::string_view)>& on_text);

// The length of the longest prefix of `text` that does not end inside a UTF-8 sequence.
size_t complete_utf8_prefix(std::string_view text);

}  // namespace esparse

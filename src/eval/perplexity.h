// Perplexity of a model over windows of a text, and how far its predictions are from those of a reference.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "eval/estimates.h"
#include "eval/logits_file.h"
#include "eval/reference.h"
#include "eval/windows.h"
#include "model/engine.h"

namespace esparse {

// Per predicted token; logarithms are natural.
struct Divergence {
  Estimate kl;        // KL(reference || model)
  double kl_p99 = 0;  // 99 % of the tokens have less
  Estimate same_top;  // share of tokens whose most probable successor is the same
  Estimate reference_nll;
  Estimate nll_difference;    // model - reference, paired by token
  Estimate perplexity_ratio;  // exp of it
};

struct Perplexity {
  Estimate nll;             // negative log-likelihood, in nats
  Estimate perplexity;      // exp(nll)
  int64_t tokens = 0;       // predicted
  int64_t windows = 0;      // done
  int64_t all_windows = 0;  // more than `windows` when interrupted
  std::optional<Divergence> divergence;

  bool complete() const { return windows == all_windows; }
};

struct PerplexityJob {
  std::span<const TextWindow> windows;
  std::optional<int32_t> bos = {};  // as the windows were cut
  Reference* reference = nullptr;   // to compare with
  LogitsWriter* writer = nullptr;   // gets the log-probabilities of every predicted token
};

// Standard errors take tokens as independent, which makes them somewhat too small. An interruption (base/interrupt.h)
// ends the work after a window; what is known by then is the result, and no windows at all is an error. Refused:
// windows beyond the model's positions, ids outside its vocabulary, a reference of another vocabulary, logits that are
// not finite. The same bits for any thread count. Keys and values are kept as exactly as the engine can.
Result<Perplexity> measure_perplexity(Engine& engine, const PerplexityJob& job);

// Of the text that the tokens come from: nats per token / ln 2 * tokens per byte, both counts of the whole text.
double bits_per_byte(double nll, int64_t text_tokens, int64_t text_bytes);

}  // namespace esparse

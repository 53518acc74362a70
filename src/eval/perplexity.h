// Perplexity as the Wanda and SparseGPT scripts measure it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/model.h"

namespace esparse {

struct PerplexityOptions {
  int64_t context = 2048;   // tokens per window, at most the model's max_position_embeddings
  int64_t max_windows = 0;  // 0: all
};

struct Perplexity {
  double nll = 0;         // mean negative log-likelihood per predicted token, in nats
  double perplexity = 0;  // exp(nll)
  int64_t tokens = 0;     // predicted: context - 1 in every window
  int64_t windows = 0;
  int64_t context = 0;
};

// Cuts `ids` (a whole text, tokenised once) into non-overlapping windows of `context` tokens, drops the incomplete
// last one, and predicts every token of a window but its first. A text shorter than one window is one shorter window;
// refused: fewer than 2 tokens, a context below 2 or beyond the model's positions.
Result<Perplexity> measure_perplexity(const Model& model, std::span<const int32_t> ids,
                                      const PerplexityOptions& options);

}  // namespace esparse

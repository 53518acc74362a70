// What a pruned model may lose, or must gain: the budgets of `esparse prune --budget`.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace esparse {

struct Budget {
  std::optional<double> ppl_rise;     // "ppl<=+3%": 0.03, perplexity over that of the dense model, less one
  std::optional<double> kl;           // "kl<=0.02": nats per token from the dense model
  std::optional<double> speedup;      // "speedup>=1.3": tokens per second of decoding over those of the dense model
  std::optional<double> bytes_share;  // "bytes<=0.7x": of all tensors, over those of the dense model

  // One or two of these, each another. Errors begin with "--budget".
  static Result<Budget> parse(std::span<const std::string> texts);
  std::string text() const;  // "ppl<=+3%, bytes<=0.7x"

  bool limits_loss() const { return ppl_rise || kl; }
  bool limits_cost() const { return speedup || bytes_share; }
};

}  // namespace esparse

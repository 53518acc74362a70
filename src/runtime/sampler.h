// Chooses the next token from logits.
#pragma once

#include <cstdint>
#include <random>
#include <span>

#include "base/status.h"

namespace esparse {

struct SamplingOptions {
  double temperature = 0.0;  // 0: the largest logit, ties to the lower id
  double top_p = 1.0;        // keep the most probable tokens whose probabilities first reach top_p
  uint64_t seed = 0;

  Status validate() const;
};

class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {}

  // The same sequence of logits and the same seed give the same tokens on every machine.
  int32_t next(std::span<const float> logits);

 private:
  SamplingOptions options_;
  std::mt19937_64 random_;
};

}  // namespace esparse

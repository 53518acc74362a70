// Frequencies of the rotary position embedding, with the static scalings that published models use.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "io/json.h"

namespace esparse {

struct RopeConfig {
  std::vector<float> inverse_frequencies;  // [head_dim / 2] radians per position
  float attention_scale = 1.0f;            // multiplies cosine and sine (yarn)
};

// Reads `rope_theta` + `rope_scaling` (published checkpoints) or `rope_parameters` (transformers 5).
// Types: default, linear, llama3 (Llama 3.1), yarn (arXiv 2309.00071). Others are refused by name.
Result<RopeConfig> parse_rope(const JsonFields& config, int64_t head_dim, int64_t max_positions);

}  // namespace esparse

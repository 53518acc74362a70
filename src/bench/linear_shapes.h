// Linears of real models: what the benchmarks multiply with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace esparse {

struct LinearShape {
  std::string name;  // "llama3-8b gate,up" or "4096x4096"
  int64_t out_features = 0;
  int64_t in_features = 0;
  int per_block = 1;  // how many linears of a decoder block have this shape
};

// "llama3-8b,4096x11008": names of models, which stand for the linears of one of their blocks, and shapes
// out_features x in_features, separated by commas. Errors say what is known.
Result<std::vector<LinearShape>> parse_linear_shapes(std::string_view text);

// "llama3-8b, qwen2.5-7b, ...".
std::string known_shape_names();

}  // namespace esparse

// The "post_processor" of tokenizer.json: the special tokens around a single text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/json.h"

namespace esparse {

struct SpecialFrame {
  std::vector<int32_t> before;
  std::vector<int32_t> after;
};

// Null gives an empty frame. The caller checks the ids against its vocabulary.
Result<SpecialFrame> parse_post_processor(const Json& component, const std::string& label);

}  // namespace esparse

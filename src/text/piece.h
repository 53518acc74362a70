// A stretch of text on its way through a tokenizer.
#pragma once

#include <cstdint>
#include <string>

namespace esparse {

struct Piece {
  std::string text;       // valid UTF-8
  int32_t id = -1;        // of an added token, which no later step touches; -1 for text
  bool at_start = false;  // whether it begins where the whole input begins

  bool is_text() const { return id < 0; }
};

}  // namespace esparse

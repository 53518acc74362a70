// The "decoder" of tokenizer.json: turns token strings back into text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/json.h"

namespace esparse {

// Immutable.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual Status apply(std::vector<std::string>& tokens) const = 0;
};

// In order of application; a Sequence is flattened, null gives none.
using Decoders = std::vector<std::unique_ptr<const Decoder>>;
Result<Decoders> parse_decoders(const Json& component, const std::string& label);

// Bytes that are no UTF-8 become U+FFFD, except at the very end: a character may be continued there.
Result<std::string> decode_tokens(const Decoders& decoders, std::vector<std::string> tokens);

}  // namespace esparse

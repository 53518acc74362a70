// The "pre_tokenizer" of tokenizer.json: cuts text into the words that the model encodes one by one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/json.h"
#include "text/piece.h"

namespace esparse {

// Immutable.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Cuts one piece of text and appends the parts.
  virtual Status split(Piece piece, std::vector<Piece>& out) const = 0;
};

// In order of application; a Sequence is flattened, null gives none.
using PreTokenizers = std::vector<std::unique_ptr<const PreTokenizer>>;
Result<PreTokenizers> parse_pre_tokenizers(const Json& component, const std::string& label);

// Runs all of them over all pieces of text; pieces with an id stay as they are.
Status pre_tokenize(const PreTokenizers& steps, std::vector<Piece>& pieces);

}  // namespace esparse

// The "normalizer" of tokenizer.json: rewrites text before it is split.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/json.h"
#include "text/piece.h"

namespace esparse {

// Immutable.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual Status apply(Piece& piece) const = 0;
};

// In order of application; a Sequence is flattened, null gives none.
using Normalizers = std::vector<std::unique_ptr<const Normalizer>>;
Result<Normalizers> parse_normalizers(const Json& component, const std::string& label);

Status normalize(const Normalizers& normalizers, Piece& piece);

}  // namespace esparse

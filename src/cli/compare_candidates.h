// The ways of pruning that `esparse compare` puts side by side.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "prune/recipe.h"

namespace esparse {

struct CompareCandidate {
  std::string name;  // "best 2:4"
  Recipe recipe;     // validated
  bool shipped = false;
};

// `recipes`: names or files; `patterns`: N:M or others that recipes know, each for every recipe; none: the recipe's
// own. Refused: the same twice.
Result<std::vector<CompareCandidate>> compare_candidates(const std::vector<std::string>& recipes,
                                                         const std::vector<std::string>& patterns);

}  // namespace esparse

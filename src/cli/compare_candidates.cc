#include "cli/compare_candidates.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "prune/recipe_file.h"

namespace esparse {

Result<std::vector<CompareCandidate>> compare_candidates(const std::vector<std::string>& recipes,
                                                         const std::vector<std::string>& patterns) {
  const std::vector<std::string> own = {""};
  std::vector<CompareCandidate> candidates;
  std::set<std::string> names;
  for (const std::string& recipe : recipes)
    for (const std::string& pattern : patterns.empty() ? own : patterns) {
      CompareCandidate candidate;
      ESPARSE_ASSIGN_OR_RETURN(candidate.recipe, load_recipe(recipe));
      if (!pattern.empty())
        ESPARSE_RETURN_IF_ERROR(candidate.recipe.set("pattern", pattern).with_context("--patterns"));
      const Status valid = candidate.recipe.validate();
      if (!valid.ok()) return valid.with_context(fmt::format("{} {}", recipe, pattern));
      candidate.name = fmt::format("{} {}", candidate.recipe.name, candidate.recipe.base.target.text());
      candidate.shipped = std::ranges::any_of(shipped_recipes(), [&](const auto& s) { return s.name == recipe; });
      if (!names.insert(candidate.name).second) return invalid_argument("--recipes: {} twice", candidate.name);
      candidates.push_back(std::move(candidate));
    }
  return candidates;
}

}  // namespace esparse

// Recipes as YAML files, and the ones that ship inside the program (recipes/).
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "base/status.h"
#include "prune/recipe.h"

namespace esparse {

// `text` is a YAML map: settings by name (recipe_options.h), `summary`, and `layers`, a list of maps that each have
// `match` (a layer name, '*' stands for any text) and settings. Errors begin with `label` and name line or setting.
// What the file leaves out keeps the default; saliency and pattern must be there. Not validated yet: settings of the
// command line may follow.
Result<Recipe> parse_recipe(std::string_view text, const std::string& label);

struct ShippedRecipe {
  std::string_view name;
  std::string_view text;
};
std::span<const ShippedRecipe> shipped_recipes();  // by name, ascending

// A shipped recipe by its name, or a file: what holds a '/' or ends in .yaml or .yml is a path.
Result<Recipe> load_recipe(const std::string& name_or_path);

}  // namespace esparse

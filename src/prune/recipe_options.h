// The settings of a recipe by name: one table for recipe files, the command line and the report.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "prune/recipe.h"

namespace esparse {

struct RecipeOption {
  std::string_view name;  // "shuffle_block"; on the command line --shuffle-block
  std::string_view help;
  Status (*set)(LinearRecipe& recipe, std::string_view value);
  Json (*get)(const LinearRecipe& recipe);
  bool (*read)(const LinearRecipe& recipe);  // is the setting read by the present choices?
};

// What may differ from linear to linear.
std::span<const RecipeOption> linear_recipe_options();

// What holds for the whole model.
struct ModelOption {
  std::string_view name;
  std::string_view help;
  Status (*set)(Recipe& recipe, std::string_view value);
  Json (*get)(const Recipe& recipe);
  bool (*read)(const Recipe& recipe);
};
std::span<const ModelOption> model_recipe_options();

// Sets one linear's option by name; errors begin with the name.
Status set_linear_option(LinearRecipe& recipe, std::string_view name, std::string_view value);

}  // namespace esparse

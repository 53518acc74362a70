#include "prune/recipe_file.h"

#include <set>

#include <yaml-cpp/yaml.h>

#include "base/nearest.h"
#include "io/files.h"
#include "prune/recipe_options.h"

namespace esparse {
namespace {

constexpr int64_t kMaxRecipeBytes = 1 << 20;

Result<std::string> scalar(const YAML::Node& node, std::string_view key) {
  if (!node.IsScalar()) return invalid_argument("{}: line {}: expected one value", key, node.Mark().line + 1);
  return node.Scalar();
}

// yaml-cpp would let the last of two equal keys win.
Result<std::string> new_key(const YAML::Node& node, std::set<std::string>& seen) {
  ESPARSE_ASSIGN_OR_RETURN(std::string key, scalar(node, "setting"));
  if (!seen.insert(key).second) return invalid_argument("line {}: {} stands there twice", node.Mark().line + 1, key);
  return key;
}

Result<RecipeRule> parse_rule(const YAML::Node& node) {
  if (!node.IsMap()) return invalid_argument("layers: line {}: expected 'match' and settings", node.Mark().line + 1);
  RecipeRule rule;
  std::set<std::string> seen;
  LinearRecipe scratch;  // refuses unknown settings and bad values where they stand
  for (const auto& entry : node) {
    ESPARSE_ASSIGN_OR_RETURN(const std::string key, new_key(entry.first, seen));
    ESPARSE_ASSIGN_OR_RETURN(const std::string value, scalar(entry.second, key));
    if (key == "match") {
      rule.match = value;
      continue;
    }
    ESPARSE_RETURN_IF_ERROR(
        set_linear_option(scratch, key, value).with_context(fmt::format("line {}", entry.first.Mark().line + 1)));
    rule.settings.emplace_back(key, value);
  }
  if (rule.match.empty()) return invalid_argument("layers: line {}: 'match' is missing", node.Mark().line + 1);
  if (rule.settings.empty())
    return invalid_argument("layers: line {}: {:?} has no settings", node.Mark().line + 1, rule.match);
  return rule;
}

Status parse_entry(const std::string& key, const YAML::Node& node, Recipe& recipe) {
  if (key == "layers") {
    if (!node.IsSequence()) return invalid_argument("layers: line {}: expected a list", node.Mark().line + 1);
    for (const auto& item : node) {
      ESPARSE_ASSIGN_OR_RETURN(RecipeRule rule, parse_rule(item));
      recipe.rules.push_back(std::move(rule));
    }
    return {};
  }
  ESPARSE_ASSIGN_OR_RETURN(const std::string value, scalar(node, key));
  if (key == "summary") {
    recipe.summary = value;
    return {};
  }
  return recipe.set(key, value).with_context(fmt::format("line {}", node.Mark().line + 1));
}

Result<Recipe> parse_map(const YAML::Node& root) {
  if (!root.IsMap()) return invalid_argument("expected settings such as 'saliency: wanda'");
  Recipe recipe;
  bool has_pattern = false;
  std::set<std::string> seen;
  for (const auto& entry : root) {
    ESPARSE_ASSIGN_OR_RETURN(const std::string key, new_key(entry.first, seen));
    has_pattern |= key == "pattern";
    ESPARSE_RETURN_IF_ERROR(parse_entry(key, entry.second, recipe));
  }
  if (recipe.base.saliency == nullptr) return invalid_argument("'saliency' is missing");
  if (!has_pattern) return invalid_argument("'pattern' is missing");
  return recipe;
}

}  // namespace

Result<Recipe> parse_recipe(std::string_view text, const std::string& label) {
  try {
    auto recipe = parse_map(YAML::Load(std::string(text)));
    if (!recipe.ok()) return recipe.status().with_context(label);
    return recipe;
  } catch (const YAML::Exception& error) {
    return invalid_argument("{}: line {}: {}", label, error.mark.line + 1, error.msg);
  }
}

Result<Recipe> load_recipe(const std::string& name_or_path) {
  const std::filesystem::path path(name_or_path);
  if (name_or_path.find('/') != std::string::npos || path.extension() == ".yaml" || path.extension() == ".yml") {
    ESPARSE_ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxRecipeBytes));
    ESPARSE_ASSIGN_OR_RETURN(Recipe recipe, parse_recipe(text, name_or_path));
    recipe.name = path.stem().string();
    return recipe;
  }
  std::vector<std::string> names;
  for (const ShippedRecipe& shipped : shipped_recipes()) {
    if (shipped.name == name_or_path) {
      ESPARSE_ASSIGN_OR_RETURN(Recipe recipe, parse_recipe(shipped.text, "recipe " + name_or_path));
      recipe.name = shipped.name;
      return recipe;
    }
    names.emplace_back(shipped.name);
  }
  return not_found("recipe {:?}: expected a file (*.yaml) or one of {}{}", name_or_path.substr(0, 40),
                   fmt::join(names, ", "), did_you_mean(name_or_path, names));
}

}  // namespace esparse

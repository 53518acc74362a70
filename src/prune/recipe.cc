#include "prune/recipe.h"

#include "prune/recipe_options.h"

namespace esparse {
namespace {

// The rules must make sense by themselves and on top of the base.
Status check_rule(const RecipeRule& rule, const LinearRecipe& base) {
  LinearRecipe changed = base;
  for (const auto& [name, value] : rule.settings) ESPARSE_RETURN_IF_ERROR(set_linear_option(changed, name, value));
  return changed.validate();
}

Json linear_json(const LinearRecipe& recipe) {
  Json json = Json::object();
  for (const RecipeOption& option : linear_recipe_options())
    if (option.read(recipe)) json[std::string(option.name)] = option.get(recipe);
  return json;
}

}  // namespace

// On a mismatch only the last star is widened, so the time is pattern x name at most.
bool matches_pattern(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, retry = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++retry;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

Result<SpenseMode> parse_spense_mode(std::string_view text) {
  if (text == "neuron-aligned") return SpenseMode::neuron_aligned;
  if (text == "per-matrix") return SpenseMode::per_matrix;
  return invalid_argument("{:?}: expected neuron-aligned or per-matrix", text.substr(0, 40));
}

std::string_view spense_mode_name(SpenseMode mode) {
  return mode == SpenseMode::neuron_aligned ? "neuron-aligned" : "per-matrix";
}

StatisticsNeeds LinearRecipe::needs() const {
  if (!prunes()) return {};
  StatisticsNeeds needs = saliency->needs;
  if (is_spense()) needs.merge(selection_needs(spense.selection, *saliency));
  needs.gram |= update.needs_gram();
  needs.cross |= update.refit;
  needs.sums |= update.mask_update == MaskUpdate::dsnot;
  needs.norms |= needs.gram || needs.sums;
  return needs;
}

Status LinearRecipe::validate() const {
  if (saliency == nullptr) return invalid_argument("saliency: none chosen");
  ESPARSE_RETURN_IF_ERROR(target.validate());
  ESPARSE_RETURN_IF_ERROR(dsnot.validate());
  if (!prunes()) return {};
  if (target.kind == TargetKind::unstructured && shuffles())
    return invalid_argument("shuffle {}: pattern {} has no groups that a channel order could change; use shuffle none",
                            shuffle.text(), target.text());
  if (target.kind != TargetKind::unstructured && shuffle.swaps() && shuffle.block < target.pattern.group)
    return invalid_argument("shuffle_block: expected at least one group of {} channels, got {}", target.pattern.group,
                            shuffle.block);
  return {};
}

Status Recipe::set(std::string_view option, std::string_view value) {
  for (const ModelOption& known : model_recipe_options())
    if (known.name == option) return known.set(*this, value).with_context(option);
  return set_linear_option(base, option, value);
}

Status Recipe::validate() const {
  ESPARSE_RETURN_IF_ERROR(base.validate());
  ESPARSE_RETURN_IF_ERROR(owl.validate());
  if (allocation == Allocation::owl && !base.prunes())
    return invalid_argument("allocation owl: pattern dense leaves nothing to allocate");
  if (allocation == Allocation::owl && base.is_spense())
    return invalid_argument("allocation owl: pattern {} keeps the same share dense in every block", base.target.text());
  for (const RecipeRule& rule : rules)
    ESPARSE_RETURN_IF_ERROR(check_rule(rule, base).with_context(fmt::format("layers matching {:?}", rule.match)));
  return {};
}

LinearRecipe Recipe::for_linear(std::string_view linear, const PruneTarget& block_target) const {
  LinearRecipe recipe = base;
  recipe.target = block_target;
  for (const RecipeRule& rule : rules) {
    if (!matches_pattern(rule.match, linear)) continue;
    for (const auto& [setting, value] : rule.settings) ESPARSE_CHECK(set_linear_option(recipe, setting, value).ok());
  }
  return recipe;
}

Json Recipe::to_json() const {
  Json json = linear_json(base);
  for (const ModelOption& option : model_recipe_options())
    if (option.read(*this)) json[std::string(option.name)] = option.get(*this);
  if (!name.empty()) json["name"] = name;
  Json list = Json::array();
  for (const RecipeRule& rule : rules) {
    Json entry = {{"match", rule.match}};
    for (const auto& [setting, value] : rule.settings) entry[setting] = value;
    list.push_back(std::move(entry));
  }
  if (!list.empty()) json["layers"] = std::move(list);
  return json;
}

}  // namespace esparse

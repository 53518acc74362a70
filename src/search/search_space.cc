#include "search/search_space.h"

#include <algorithm>
#include <array>

#include "prune/install.h"
#include "sparse/nm_storage.h"
#include "sparse/spense_storage.h"

namespace esparse {
namespace {

constexpr std::array<std::string_view, 3> kGroupNames = {"attention", "output", "feed-forward"};

// The recipe of a linear when nothing is searched: what a rule spares stays spared.
LinearRecipe own_recipe(const Recipe& recipe, const LinearLayer& linear) {
  return recipe.for_linear(linear.name(), recipe.base.target);
}

bool may_be_pruned(const DecoderBlock& block, const Recipe& recipe, InputSite site) {
  return std::ranges::any_of(block.linears_at(site),
                             [&](const LinearLayer* linear) { return own_recipe(recipe, *linear).prunes(); });
}

const PruneTarget* target_at(const SiteTargets& targets, InputSite site) {
  for (const auto& [at, target] : targets.sites)
    if (at == site) return &target;
  return nullptr;
}

bool is_spense(const PruneTarget& target) { return target.kind == TargetKind::spense; }

std::vector<SiteTargets> feed_forward_options(bool mlp, bool down, std::span<const PruneTarget> candidates) {
  std::vector<PruneTarget> plain = {PruneTarget::dense()};
  for (const PruneTarget& candidate : candidates)
    if (!is_spense(candidate)) plain.push_back(candidate);
  std::vector<SiteTargets> options;
  for (const PruneTarget& at_mlp : plain)
    for (const PruneTarget& at_down : plain) {
      if ((!mlp && at_mlp.kind != TargetKind::dense) || (!down && at_down.kind != TargetKind::dense)) continue;
      SiteTargets& option = options.emplace_back();
      if (at_mlp.kind != TargetKind::dense) option.sites.emplace_back(InputSite::mlp, at_mlp);
      if (at_down.kind != TargetKind::dense) option.sites.emplace_back(InputSite::down, at_down);
    }
  for (const PruneTarget& candidate : candidates) {
    if (!is_spense(candidate) || !(mlp || down)) continue;
    SiteTargets& option = options.emplace_back();
    if (mlp) option.sites.emplace_back(InputSite::mlp, candidate);
    if (down) option.sites.emplace_back(InputSite::down, candidate);
  }
  return options;
}

}  // namespace

Result<std::vector<PruneTarget>> parse_candidates(std::string_view text) {
  std::vector<PruneTarget> candidates;
  for (std::string_view rest = text;;) {
    const size_t comma = rest.find(',');
    auto target = PruneTarget::parse(rest.substr(0, comma));
    if (!target.ok()) return target.status().with_context("--candidates");
    if (target->kind != TargetKind::nm && !is_spense(*target))
      return invalid_argument("--candidates: {:?}: expected N:M or spense[:FRACTION][:N:M]; dense is one anyway",
                              rest.substr(0, comma));
    if (std::ranges::find(candidates, *target) != candidates.end())
      return invalid_argument("--candidates: {} stands there twice", target->text());
    candidates.push_back(*target);
    if (comma == rest.npos) return candidates;
    rest.remove_prefix(comma + 1);
  }
}

std::string SiteTargets::text() const {
  std::string text;
  for (const auto& [site, target] : sites)
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", input_site_name(site), target.text());
  return text;
}

std::vector<InputSite> sites_of(std::string_view group) {
  if (group == kGroupNames[0]) return {InputSite::attention};
  if (group == kGroupNames[1]) return {InputSite::output};
  return {InputSite::mlp, InputSite::down};
}

BlockRecipes recipes_under(const DecoderBlock& block, const Recipe& recipe, const SiteTargets& targets) {
  BlockRecipes recipes;
  for (InputSite site : kInputSites)
    for (const LinearLayer* linear : block.linears_at(site)) {
      LinearRecipe own = own_recipe(recipe, *linear);
      const PruneTarget* target = target_at(targets, site);
      const bool prunes = own.prunes() && target != nullptr;
      own.target = prunes ? *target : PruneTarget::dense();
      recipes[static_cast<size_t>(site)].push_back(std::move(own));
    }
  return recipes;
}

std::vector<SiteTargets> trials_of(const DecoderBlock& block, const Recipe& recipe,
                                   std::span<const PruneTarget> candidates) {
  std::vector<SiteTargets> trials;
  const bool mlp = may_be_pruned(block, recipe, InputSite::mlp), down = may_be_pruned(block, recipe, InputSite::down);
  for (const PruneTarget& candidate : candidates) {
    for (InputSite site : kInputSites) {
      const bool feed_forward = site == InputSite::mlp || site == InputSite::down;
      if (!may_be_pruned(block, recipe, site) || (feed_forward && is_spense(candidate))) continue;
      trials.push_back({{{site, candidate}}});
    }
    if (!is_spense(candidate) || !(mlp || down)) continue;
    SiteTargets& trial = trials.emplace_back();
    if (mlp) trial.sites.emplace_back(InputSite::mlp, candidate);
    if (down) trial.sites.emplace_back(InputSite::down, candidate);
  }
  return trials;
}

std::vector<SearchGroup> groups_of(const Model& model, const Recipe& recipe, std::span<const PruneTarget> candidates) {
  std::vector<SearchGroup> groups;
  for (size_t layer = 0; layer < model.blocks().size(); ++layer) {
    const DecoderBlock& block = model.blocks()[layer];
    for (const std::string_view name : kGroupNames) {
      SearchGroup& group = groups.emplace_back(SearchGroup{static_cast<int64_t>(layer), name, {}});
      const auto sites = sites_of(name);
      if (sites.size() > 1) {
        group.options = feed_forward_options(may_be_pruned(block, recipe, InputSite::mlp),
                                             may_be_pruned(block, recipe, InputSite::down), candidates);
        continue;
      }
      group.options.emplace_back();
      if (!may_be_pruned(block, recipe, sites[0])) continue;
      for (const PruneTarget& candidate : candidates) group.options.push_back({{{sites[0], candidate}}});
    }
  }
  return groups;
}

std::vector<std::string> parts_of(const SiteTargets& option) {
  if (std::ranges::any_of(option.sites, [](const auto& site) { return is_spense(site.second); }))
    return {option.text()};
  std::vector<std::string> parts;
  for (const auto& site : option.sites) parts.push_back(SiteTargets{{site}}.text());
  return parts;
}

Recipe recipe_for(const Model& model, const Recipe& recipe, std::span<const SearchGroup> groups,
                  std::span<const int32_t> options) {
  Recipe result = recipe;
  std::vector<RecipeRule> rules;
  for (const DecoderBlock& block : model.blocks())
    for (InputSite site : kInputSites)
      for (const LinearLayer* linear : block.linears_at(site))
        rules.push_back({linear->name(), {{"pattern", "dense"}}});
  const auto rule_of = [&](const std::string& name) -> RecipeRule& {
    return *std::ranges::find_if(rules, [&](const RecipeRule& rule) { return rule.match == name; });
  };
  for (size_t group = 0; group < groups.size(); ++group) {
    const DecoderBlock& block = model.blocks()[groups[group].layer];
    for (const auto& [site, target] : groups[group].options[options[group]].sites)
      for (const LinearLayer* linear : block.linears_at(site))
        if (own_recipe(recipe, *linear).prunes()) rule_of(linear->name()).settings[0].second = target.text();
  }
  result.rules.insert(result.rules.end(), rules.begin(), rules.end());
  return result;
}

namespace {

int64_t record_bytes(const PruneTarget& target) {
  if (target.kind == TargetKind::nm) return static_cast<int64_t>(sizeof(NmShapeRecords::value_type));
  return is_spense(target) ? static_cast<int64_t>(sizeof(SpenseShapeRecords::value_type)) : 0;
}

// Only orders that a norm writes are stored.
int64_t order_bytes(InputSite site, const std::vector<LinearRecipe>& recipes, int64_t channels) {
  if (site != InputSite::attention && site != InputSite::mlp) return 0;
  const bool stored = std::ranges::any_of(recipes, [&](const LinearRecipe& recipe) {
    const bool columns =
        recipe.is_spense() && (site == InputSite::attention || recipe.spense.mode == SpenseMode::per_matrix);
    return recipe.prunes() && (recipe.shuffles() || columns);
  });
  return stored ? channels * dtype_bytes(DType::i32) : 0;
}

}  // namespace

int64_t bytes_under(const DecoderBlock& block, const ModelConfig& config, const Recipe& recipe,
                    std::span<const InputSite> sites, const SiteTargets& targets) {
  const BlockRecipes recipes = recipes_under(block, recipe, targets);
  int64_t bytes = 0;
  for (InputSite site : sites) {
    const auto linears = block.linears_at(site);
    bytes += order_bytes(site, recipes[static_cast<size_t>(site)], linears[0]->in_features());
    for (size_t index = 0; index < linears.size(); ++index) {
      const LinearRecipe& own = recipes[static_cast<size_t>(site)][index];
      const int64_t out = linears[index]->out_features(), in = linears[index]->in_features();
      PackTarget packed{own.target};
      if (own.is_spense()) packed.layout = planned_layout(site, own, out, in, config);
      bytes += packed_bytes(packed, linears[index]->dtype(), out, in) + record_bytes(own.target);
    }
  }
  return bytes;
}

}  // namespace esparse

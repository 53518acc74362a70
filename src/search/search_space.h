// What a budget search may choose from: the groups of linears of every block, and what each may be pruned to.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/model.h"
#include "prune/recipe.h"
#include "prune/spense_block.h"
#include "search/pareto_front.h"

namespace esparse {

// "6:8,4:8,2:4,spense:1/8": N:M and Spense. Errors begin with "--candidates".
Result<std::vector<PruneTarget>> parse_candidates(std::string_view text);
inline constexpr std::string_view kDefaultCandidates = "6:8,4:8,2:4,spense:1/8,spense:1/4,spense:1/2";

// What the linears at some sites of one block are pruned to, the others being dense. The unit that is measured.
struct SiteTargets {
  std::vector<std::pair<InputSite, PruneTarget>> sites;

  std::string text() const;  // "mlp=spense:0.25 down=spense:0.25", "" for none
};

// The recipes of a block under these targets: those of `recipe`, with everything dense elsewhere. Linears that a rule
// of the recipe spares stay dense.
BlockRecipes recipes_under(const DecoderBlock& block, const Recipe& recipe, const SiteTargets& targets);

// What has to be measured in a block: each site at each N:M candidate, attention and output at each Spense candidate,
// and the whole feed-forward part at each, whose neurons bind it together. Sites without a linear that may be pruned
// are left out.
std::vector<SiteTargets> trials_of(const DecoderBlock& block, const Recipe& recipe,
                                   std::span<const PruneTarget> candidates);

// The choice within one block that no other choice touches: attention, output, or the feed-forward part.
struct SearchGroup {
  int64_t layer = 0;
  std::string_view name;
  std::vector<SiteTargets> options;  // the first is dense
};
// Of the feed-forward part: every pair of an N:M at gate and up and one at down, and every Spense.
std::vector<SearchGroup> groups_of(const Model& model, const Recipe& recipe, std::span<const PruneTarget> candidates);

// The trials that an option consists of: its losses are added.
std::vector<std::string> parts_of(const SiteTargets& option);

// `recipe` with a rule for every linear that the chosen options prune; all others are dense.
Recipe recipe_for(const Model& model, const Recipe& recipe, std::span<const SearchGroup> groups,
                  std::span<const int32_t> options);

// Bytes of the block's linears at the sites under these targets, as a checkpoint holds them with the records of their
// shapes, and of the channel orders that it may have to store beside them.
int64_t bytes_under(const DecoderBlock& block, const ModelConfig& config, const Recipe& recipe,
                    std::span<const InputSite> sites, const SiteTargets& targets);

// Where the groups stand: "attention" -> {attention}, "output" -> {output}, "feed-forward" -> {mlp, down}.
std::vector<InputSite> sites_of(std::string_view group);

}  // namespace esparse

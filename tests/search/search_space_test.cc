#include "search/search_space.h"

#include <gtest/gtest.h>

#include <set>

#include "prune/golden_models.h"
#include "prune/prune_model.h"

namespace esparse {
namespace {

const std::vector<PruneTarget> kCandidates = {PruneTarget::nm({4, 8}), PruneTarget::nm({2, 4}),
                                              PruneTarget::spense({2, 4}, 0.25)};

Recipe plain_recipe() { return make_recipe("wanda", "2:4", "none"); }

TEST(Candidates, AreParsed) {
  EXPECT_EQ(parse_candidates("4:8,2:4,spense:1/4").value(), kCandidates);
  EXPECT_EQ(parse_candidates(kDefaultCandidates)->size(), 6u);
  for (const char* text : {"", "2:4,", ",2:4", "50%", "dense", "2:4,4:2", "2:4,spense:2"})
    EXPECT_FAILURE(parse_candidates(text), StatusKind::invalid_argument, "--candidates: ") << text;
  EXPECT_FAILURE(parse_candidates("2:4,spense,2:4"), StatusKind::invalid_argument, "2:4 stands there twice");
}

std::set<std::string> texts(const std::vector<SiteTargets>& targets) {
  std::set<std::string> result;
  for (const SiteTargets& target : targets) result.insert(target.text());
  EXPECT_EQ(result.size(), targets.size());
  return result;
}

// Two N:M at four sites, one Spense at attention, at output and at the feed-forward part.
TEST(Trials, CoverEverySiteOnce) {
  const auto model = load_golden("llama2-gqa-untied");
  const auto trials = trials_of(model->blocks()[0], plain_recipe(), kCandidates);
  EXPECT_EQ(texts(trials), (std::set<std::string>{"attention=4:8", "output=4:8", "mlp=4:8", "down=4:8", "attention=2:4",
                                                  "output=2:4", "mlp=2:4", "down=2:4", "attention=spense:0.25",
                                                  "output=spense:0.25", "mlp=spense:0.25 down=spense:0.25"}));
}

// (dense, 4:8, 2:4)^2 and one Spense; attention and output dense and the three. Every part of an option is a trial.
TEST(Groups, CombineTheTrials) {
  const auto model = load_golden("llama2-gqa-untied");
  const auto groups = groups_of(*model, plain_recipe(), kCandidates);
  ASSERT_EQ(groups.size(), 6u);
  for (const SearchGroup& group : groups) {
    EXPECT_EQ(group.options.size(), group.name == "feed-forward" ? 10u : 4u);
    EXPECT_EQ(group.options[0].text(), "") << "dense comes first";
    texts(group.options);
    const auto trials = texts(trials_of(model->blocks()[group.layer], plain_recipe(), kCandidates));
    for (const SiteTargets& option : group.options)
      for (const std::string& part : parts_of(option)) EXPECT_TRUE(trials.contains(part)) << part;
  }
  EXPECT_EQ(groups[3].layer, 1);
  EXPECT_EQ(parts_of(groups[2].options[4]), (std::vector<std::string>{"mlp=4:8", "down=4:8"}));
  EXPECT_EQ(parts_of(groups[2].options[9]), (std::vector<std::string>{"mlp=spense:0.25 down=spense:0.25"}));
  EXPECT_TRUE(parts_of(groups[2].options[0]).empty());
}

TEST(Groups, LeaveWhatARuleSpares) {
  const auto model = load_golden("llama2-gqa-untied");
  Recipe recipe = plain_recipe();
  recipe.rules = {{"*.self_attn.*", {{"pattern", "dense"}}}, {"model.layers.1.mlp.down_proj", {{"pattern", "dense"}}}};
  const auto groups = groups_of(*model, recipe, kCandidates);
  EXPECT_EQ(groups[0].options.size(), 1u);
  EXPECT_EQ(groups[1].options.size(), 1u);
  EXPECT_EQ(groups[2].options.size(), 10u);
  EXPECT_EQ(groups[5].options.size(), 4u) << "gate and up alone: dense, 4:8, 2:4, Spense";
  EXPECT_EQ(texts(trials_of(model->blocks()[1], recipe, kCandidates)),
            (std::set<std::string>{"mlp=4:8", "mlp=2:4", "mlp=spense:0.25"}));
}

// The bytes foretold are those of the linears once they are pruned; every linear gets what its option says.
TEST(RecipeFor, PrunesWhatTheOptionsSay) {
  for (const char* golden : {"llama2-gqa-untied", "opt-prenorm", "llama-bf16"}) {
    const auto model = load_golden(golden);
    Recipe recipe = plain_recipe();
    recipe.rules = {{"*.k_proj", {{"pattern", "dense"}}}};
    const auto groups = groups_of(*model, recipe, kCandidates);
    std::vector<int32_t> options;
    int64_t expected = 0;
    for (size_t group = 0; group < groups.size(); ++group) {
      options.push_back(static_cast<int32_t>((7 * group + 3) % groups[group].options.size()));
      expected += bytes_under(model->blocks()[groups[group].layer], model->config(), recipe,
                              sites_of(groups[group].name), groups[group].options[options[group]]);
    }
    const Recipe chosen = recipe_for(*model, recipe, groups, options);
    EXPECT_OK(check_prunable(*model, chosen));
    const auto report = prune_model(*model, chosen, random_windows(*model, 4, 1));
    ASSERT_TRUE(report.ok()) << report.status().message();
    int64_t bytes = 0;
    size_t next = 0;
    for (const DecoderBlock& block : model->blocks())
      for (InputSite site : kInputSites)
        for (const LinearLayer* linear : block.linears_at(site)) {
          bytes += linear->weight_bytes();
          const PrunedLinear& line = report->linears[next++];
          EXPECT_EQ(line.pattern == "dense", !linear->is_packed());
          EXPECT_TRUE(!line.name.ends_with("k_proj") || line.pattern == "dense") << line.name;
        }
    // Beside the weights: shape records of 20 or 28 bytes, and the orders of q, k and v where Spense keeps columns
    // dense.
    for (const PrunedLinear& line : report->linears) bytes += line.layout ? 28 : line.pattern == "dense" ? 0 : 20;
    for (const DecoderBlock& block : model->blocks())
      bytes += static_cast<int64_t>(block.attention_order.size() + block.mlp_order.size()) * 4;
    EXPECT_EQ(bytes, expected) << golden;
  }
}

}  // namespace
}  // namespace esparse

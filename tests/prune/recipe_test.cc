// Recipes: settings by name, rules by layer, YAML files, the shipped ones, and what is refused.
#include "prune/recipe.h"

#include <gtest/gtest.h>

#include "prune/recipe_file.h"
#include "prune/recipe_options.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

Recipe wanda() {
  Recipe recipe;
  EXPECT_OK(recipe.set("saliency", "wanda"));
  return recipe;
}

TEST(UpdateSteps, TextAndBack) {
  for (const char* text : {"none", "refit", "obs", "admm", "dsnot", "descent", "refit+obs", "obs+descent",
                           "refit+obs+descent", "refit+admm+descent", "dsnot+descent"}) {
    const auto steps = UpdateSteps::parse(text);
    ASSERT_OK(steps);
    EXPECT_EQ(steps->text(), text);
  }
  for (const char* text : {"", "obs+refit", "obs+admm", "none+obs", "OBS", "refit+", "descent+obs"})
    EXPECT_FAILURE(UpdateSteps::parse(text), StatusKind::invalid_argument, "refit, one of obs, admm, dsnot, descent");
}

TEST(MatchesPattern, Stars) {
  for (const auto& [pattern, name] : {std::pair{"*", "a.b"},
                                      {"*", ""},
                                      {"a.b", "a.b"},
                                      {"*.o_proj", "x.1.o_proj"},
                                      {"model.layers.0.*", "model.layers.0.mlp.up_proj"},
                                      {"*a*b*", "xxaxxbxx"},
                                      {"a**b", "ab"},
                                      {"*.1.*", "layers.11.1.x"}})
    EXPECT_TRUE(matches_pattern(pattern, name)) << pattern << " " << name;
  for (const auto& [pattern, name] : {std::pair{"", "a"},
                                      {"a", "ab"},
                                      {"*.o_proj", "o_proj"},
                                      {"a*b", "abc"},
                                      {"model.layers.1.*", "model.layers.11.q"},
                                      {"ab", ""}})
    EXPECT_FALSE(matches_pattern(pattern, name)) << pattern << " " << name;
  // Many stars against a name that does not match: not exponential.
  EXPECT_FALSE(matches_pattern(std::string(40, '*') + "a*a*a*a*a*a*b", std::string(200, 'a')));
}

// Every setting takes what it tells, so that an effective recipe can be read back.
TEST(RecipeOptions, GetAndSetAgree) {
  for (const ShippedRecipe& shipped : shipped_recipes()) {
    const auto recipe = load_recipe(std::string(shipped.name));
    ASSERT_OK(recipe);
    for (const RecipeOption& option : linear_recipe_options()) {
      const Json value = option.get(recipe->base);
      LinearRecipe copy = recipe->base;
      EXPECT_OK(option.set(copy, value.is_string() ? value.get<std::string>() : value.dump()));
      EXPECT_EQ(option.get(copy), value) << option.name;
    }
    for (const ModelOption& option : model_recipe_options()) {
      const Json value = option.get(*recipe);
      Recipe copy = *recipe;
      EXPECT_OK(option.set(copy, value.is_string() ? value.get<std::string>() : value.dump()));
      EXPECT_EQ(option.get(copy), value) << option.name;
    }
  }
}

TEST(RecipeOptions, BadValuesNameTheSetting) {
  for (const auto& [name, value, part] :
       {std::tuple{"saliency", "weights", "saliency: saliency \"weights\": expected one of"},
        {"pattern", "5:4", "pattern: "},
        {"pattern", "120%", "pattern: "},
        {"scope", "column", "scope: "},
        {"shuffle", "riffle", "shuffle: "},
        {"update", "obs+obs", "update: "},
        {"damping", "-1", "damping: expected a number from 0 to 10, got \"-1\""},
        {"damping", "nan", "damping: "},
        {"damping", "0.1x", "damping: "},
        {"alpha", "-0.5", "alpha: expected a number of at least 0"},
        {"bins", "1", "bins: expected a whole number from 2 to 4096"},
        {"sweeps", "0", "sweeps: "},
        {"residual", "yes", "residual: expected true or false"},
        {"sequential", "1", "sequential: expected true or false"},
        {"allocation", "besa", "allocation: expected uniform or owl"},
        {"pattern", "spense:0", "pattern: "},
        {"dense_fraction", "1", "dense_fraction: \"1\": expected a share between 0 and 1"},
        {"selection", "best", "selection: selection \"best\": expected norm, tail, drop, loss or random"},
        {"selection_seed", "-1", "selection_seed: expected a whole number"},
        {"spense_mode", "aligned", "spense_mode: \"aligned\": expected neuron-aligned or per-matrix"},
        {"owl_lambda", "0.9", "owl_lambda: "},
        {"colour", "red", "unknown setting \"colour\""}}) {
    Recipe recipe;
    EXPECT_FAILURE(recipe.set(name, value), StatusKind::invalid_argument, part);
  }
}

TEST(Recipe, TellsOnlyWhatItReads) {
  Recipe recipe = wanda();
  EXPECT_FALSE(recipe.to_json().contains("alpha"));
  EXPECT_FALSE(recipe.to_json().contains("damping"));
  EXPECT_FALSE(recipe.to_json().contains("owl_lambda"));
  EXPECT_TRUE(recipe.to_json().contains("norm_reduction"));
  EXPECT_OK(recipe.set("saliency", "ria"));
  EXPECT_EQ(recipe.to_json().at("ria_power"), 0.5);
  EXPECT_OK(recipe.set("saliency", "esparse"));
  EXPECT_OK(recipe.set("update", "obs"));
  EXPECT_EQ(recipe.to_json().at("damping"), 0.01);
  EXPECT_TRUE(recipe.to_json().contains("alpha"));
  EXPECT_TRUE(recipe.to_json().contains("bins"));
}

// The fraction is a setting of its own, whichever comes first; a pattern that names one wins.
TEST(Recipe, DenseFractionOfSpense) {
  for (const bool pattern_first : {true, false}) {
    Recipe recipe = wanda();
    if (pattern_first) EXPECT_OK(recipe.set("pattern", "spense"));
    EXPECT_OK(recipe.set("dense_fraction", "1/8"));
    if (!pattern_first) EXPECT_OK(recipe.set("pattern", "spense:4:8"));
    EXPECT_EQ(recipe.base.target.dense_fraction, 0.125);
    EXPECT_EQ(recipe.to_json().at("pattern"), pattern_first ? "spense:0.125" : "spense:0.125:4:8");
    EXPECT_EQ(recipe.to_json().at("dense_fraction"), 0.125);
    EXPECT_EQ(recipe.to_json().at("selection"), "norm");
    EXPECT_EQ(recipe.to_json().at("spense_mode"), "neuron-aligned");
    EXPECT_FALSE(recipe.to_json().contains("selection_seed"));
    EXPECT_OK(recipe.set("pattern", "spense:0.5"));
    EXPECT_EQ(recipe.base.target.dense_fraction, 0.5);
    EXPECT_OK(recipe.set("pattern", "2:4"));
    EXPECT_FALSE(recipe.to_json().contains("selection"));
  }
}

TEST(Recipe, SpenseNeedsWhatItsChoiceReads) {
  Recipe recipe;
  EXPECT_OK(recipe.set("saliency", "magnitude"));
  EXPECT_OK(recipe.set("pattern", "spense"));
  EXPECT_TRUE(recipe.base.needs().norms && !recipe.base.needs().gram);
  EXPECT_OK(recipe.set("selection", "tail"));
  EXPECT_FALSE(recipe.base.needs().any());
  EXPECT_OK(recipe.set("selection", "loss"));
  EXPECT_TRUE(recipe.base.needs().gram);
  EXPECT_OK(recipe.set("allocation", "owl"));
  EXPECT_FAILURE(recipe.validate(), StatusKind::invalid_argument,
                 "allocation owl: pattern spense:0.25 keeps the same share dense in every block");
}

TEST(Recipe, NeedsFollowTheChoices) {
  Recipe recipe;
  EXPECT_OK(recipe.set("saliency", "magnitude"));
  EXPECT_FALSE(recipe.base.needs().any());
  EXPECT_OK(recipe.set("update", "refit+obs"));
  EXPECT_TRUE(recipe.base.needs().gram && recipe.base.needs().cross);
  EXPECT_OK(recipe.set("update", "dsnot"));
  EXPECT_TRUE(recipe.base.needs().sums && recipe.base.needs().norms && !recipe.base.needs().gram);
  EXPECT_OK(recipe.set("pattern", "dense"));
  EXPECT_FALSE(recipe.base.needs().any());
}

TEST(Recipe, RefusesWhatCannotWork) {
  Recipe recipe = wanda();
  EXPECT_OK(recipe.set("pattern", "50%"));
  EXPECT_OK(recipe.validate());
  EXPECT_OK(recipe.set("shuffle", "global"));
  EXPECT_FAILURE(recipe.validate(), StatusKind::invalid_argument, "pattern 50% has no groups");
  EXPECT_OK(recipe.set("shuffle", "local"));
  EXPECT_OK(recipe.set("pattern", "16:32"));
  EXPECT_OK(recipe.set("shuffle_block", "31"));
  EXPECT_FAILURE(recipe.validate(), StatusKind::invalid_argument, "at least one group of 32 channels, got 31");
  EXPECT_OK(recipe.set("pattern", "dense"));
  EXPECT_OK(recipe.validate());
  EXPECT_OK(recipe.set("allocation", "owl"));
  EXPECT_FAILURE(recipe.validate(), StatusKind::invalid_argument, "leaves nothing to allocate");
  EXPECT_FAILURE(Recipe{}.validate(), StatusKind::invalid_argument, "saliency: none chosen");
}

constexpr const char* kRules = R"(
summary: a test
saliency: esparse
pattern: "2:4"
shuffle: none
alpha: 2
layers:
  - match: "*.o_proj"
    pattern: dense
  - match: "model.layers.0.*"
    pattern: "4:8"
  - match: "model.layers.0.self_attn.q_proj"
    saliency: wanda
)";

TEST(RecipeFile, RulesApplyInTurn) {
  const auto recipe = parse_recipe(kRules, "rules.yaml");
  ASSERT_OK(recipe);
  EXPECT_OK(recipe->validate());
  EXPECT_EQ(recipe->summary, "a test");
  const auto pattern_of = [&](std::string_view name) { return recipe->for_linear(name, recipe->base.target).target; };
  EXPECT_EQ(pattern_of("model.layers.1.self_attn.o_proj").text(), "dense");
  EXPECT_EQ(pattern_of("model.layers.0.self_attn.o_proj").text(), "4:8") << "the later rule wins";
  EXPECT_EQ(pattern_of("model.layers.1.mlp.up_proj").text(), "2:4");
  EXPECT_EQ(recipe->for_linear("model.layers.1.mlp.up_proj", *PruneTarget::parse("1:4")).target.text(), "1:4");
  const LinearRecipe q = recipe->for_linear("model.layers.0.self_attn.q_proj", recipe->base.target);
  EXPECT_EQ(q.saliency->name, "wanda");
  EXPECT_EQ(q.target.text(), "4:8");
  EXPECT_EQ(q.saliency_options.alpha, 2.0) << "what no rule names stays as in the base";
  EXPECT_EQ(recipe->to_json().at("layers").size(), 3u);
}

TEST(RecipeFile, ErrorsNameFileAndPlace) {
  for (const auto& [text, part] : {
           std::pair{"pattern: '2:4'", "r.yaml: 'saliency' is missing"},
           {"saliency: wanda", "r.yaml: 'pattern' is missing"},
           {"saliency: wanda\npattern: '2:4'\nflavour: sweet", "r.yaml: line 3: unknown setting \"flavour\""},
           {"saliency: wanda\npattern: '9:4'", "r.yaml: line 2: pattern: "},
           {"saliency: [wanda]\npattern: '2:4'", "r.yaml: saliency: line 1: expected one value"},
           {"- wanda", "r.yaml: expected settings"},
           {"", "r.yaml: expected settings"},
           {"saliency: wanda\n  pattern: x: y", "r.yaml: line 2"},
           {"saliency: wanda\npattern: '2:4'\nlayers: all", "r.yaml: layers: line 3: expected a list"},
           {"saliency: wanda\npattern: '2:4'\nlayers:\n  - pattern: dense", "layers: line 4: 'match' is missing"},
           {"saliency: wanda\npattern: '2:4'\nlayers:\n  - match: x", "\"x\" has no settings"},
           {"saliency: wanda\npattern: '2:4'\nlayers:\n  - match: x\n    sequential: true", "unknown setting"},
           {"saliency: wanda\npattern: '2:4'\nlayers:\n  - match: x\n    bins: 0", "line 5: bins: expected"},
       })
    EXPECT_FAILURE(parse_recipe(text, "r.yaml"), StatusKind::invalid_argument, part);
}

TEST(RecipeFile, ARuleThatMakesNoSenseIsRefused) {
  const auto recipe = parse_recipe(
      "saliency: wanda\npattern: '2:4'\nshuffle: global\nlayers:\n  - match: '*'\n    pattern: 50%\n", "r.yaml");
  ASSERT_OK(recipe);
  EXPECT_FAILURE(recipe->validate(), StatusKind::invalid_argument,
                 "layers matching \"*\": shuffle global: pattern 50%");
}

TEST(RecipeFile, FilesAndNames) {
  const TempDir directory;
  const auto path = directory.path() / "mine.yaml";
  write_text(path, kRules);
  const auto recipe = load_recipe(path.string());
  ASSERT_OK(recipe);
  EXPECT_EQ(recipe->name, "mine");
  EXPECT_FAILURE(load_recipe("nothing"), StatusKind::not_found, "alps, best, esparse");
  EXPECT_FAILURE(load_recipe("./nothing"), StatusKind::not_found, "./nothing");
  EXPECT_FAILURE(load_recipe("nothing.yaml"), StatusKind::not_found, "nothing.yaml");
}

TEST(ShippedRecipes, AreAllThereAndValid) {
  std::vector<std::string> names;
  for (const ShippedRecipe& shipped : shipped_recipes()) {
    names.emplace_back(shipped.name);
    const auto recipe = load_recipe(names.back());
    ASSERT_OK(recipe);
    EXPECT_OK(recipe->validate());
    EXPECT_FALSE(recipe->summary.empty());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"alps", "best", "esparse", "magnitude", "owl-wanda", "ria", "sparsegpt",
                                             "spense", "strong", "wanda"}));
}

}  // namespace
}  // namespace esparse

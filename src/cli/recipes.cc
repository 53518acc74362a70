// esparse recipes: what can be asked of `prune --recipe`.
#include <memory>

#include "cli/commands.h"
#include "prune/recipe_file.h"
#include "report/table.h"

namespace esparse {
namespace {

struct RecipesCommand {
  CommonOptions common;
  std::string name;

  Status show() const;
  Status list() const;
};

// The file of one recipe, a start for one's own.
Status RecipesCommand::show() const {
  for (const ShippedRecipe& shipped : shipped_recipes())
    if (shipped.name == name) return print_out(shipped.text);
  return load_recipe(name).status();  // says which there are
}

Status RecipesCommand::list() const {
  Json json = Json::array();
  Table table({"recipe", "summary"});
  for (const ShippedRecipe& shipped : shipped_recipes()) {
    ESPARSE_ASSIGN_OR_RETURN(const Recipe recipe, load_recipe(std::string(shipped.name)));
    table.add_row({recipe.name, recipe.summary});
    json.push_back({{"name", recipe.name}, {"summary", recipe.summary}, {"recipe", recipe.to_json()}});
  }
  return print_out(common.json ? json.dump() + "\n" : table.text());
}

}  // namespace

CommandBody add_recipes_command(CLI::App& app) {
  auto command = std::make_shared<RecipesCommand>();
  CLI::App* sub = app.add_subcommand("recipes", "List the shipped pruning recipes, or show one");
  sub->add_option("NAME", command->name, "Recipe to show as a YAML file");
  add_json_option(*sub, command->common, "a list of name, summary, recipe");
  sub->footer(
      "Examples:\n"
      "  esparse recipes\n"
      "  esparse recipes best > mine.yaml\n"
      "  esparse prune models/novel-1m -o /tmp/mine --recipe mine.yaml --calib models/text/calibration.txt\n");
  return [command] { return command->name.empty() ? command->list() : command->show(); };
}

}  // namespace esparse

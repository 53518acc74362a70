#include "cli/completion.h"

#include <algorithm>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "prune/recipe_file.h"
#include "prune/saliency.h"

namespace esparse {
namespace {

// What an option may be given where that is a short list of words.
std::vector<std::string> values_of(const std::string& option) {
  std::vector<std::string> recipes, saliencies;
  for (const ShippedRecipe& recipe : shipped_recipes()) recipes.emplace_back(recipe.name);
  for (const SaliencyMethod& method : saliency_methods()) saliencies.emplace_back(method.name);
  const std::map<std::string, std::vector<std::string>> known = {
      {"--recipe", recipes},
      {"--recipes", recipes},
      {"--saliency", saliencies},
      {"--shuffle", {"none", "global", "local", "global+local", "lsa"}},
      {"--allocation", {"uniform", "owl"}},
      {"--join", {"file", "wikitext", "space", "separate"}},
      {"--bos", {"text", "window", "none"}},
      {"--dtype", {"bf16", "f16", "f32"}},
      {"--kv-dtype", {"f16", "bf16", "f32"}}};
  const auto found = known.find(option);
  return found == known.end() ? std::vector<std::string>() : found->second;
}

std::vector<const CLI::App*> commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// "--recipe", "-o" ... of every option that has a name.
std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  return names;
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> all;
  for (const CLI::Option* option : command.get_options())
    for (std::string& name : names_of(*option)) all.push_back(std::move(name));
  return all;
}

std::string first_sentence(std::string text) {
  text = text.substr(0, text.find('\n'));
  return text.substr(0, text.find(". "));
}

// Inside single quotes of a shell, where _arguments gives '[', ']' and ':' a meaning of their own.
std::string zsh_text(const std::string& text) {
  std::string quoted;
  for (char c : first_sentence(text)) {
    if (c == '\'') {
      quoted += "'\\''";
    } else if (c == '[' || c == ']' || c == ':') {
      quoted += std::string("\\") + c;
    } else {
      quoted += c;
    }
  }
  return quoted;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

}  // namespace

std::string bash_completion(const CLI::App& app) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<std::string>> values;
  std::string options;
  for (const CLI::App* command : commands(app)) {
    names.push_back(command->get_name());
    const std::vector<std::string> own = option_names(*command);
    options += fmt::format("    {}) words='{}' ;;\n", command->get_name(), fmt::join(own, " "));
    for (const std::string& option : own)
      if (auto known = values_of(option); !known.empty()) values[option] = std::move(known);
  }
  std::string cases;
  for (const auto& [option, words] : values)
    cases += fmt::format("    {}) words='{}' ;;\n", option, fmt::join(words, " "));
  return fmt::format(R"(# bash completion of esparse. For this shell:  source <(esparse completion bash)
_esparse() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD - 1]}}" words=
  COMPREPLY=()
  case "$previous" in
{cases}  esac
  if [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='{names} {own}'
  elif [[ "$current" == -* ]]; then
    case "${{COMP_WORDS[1]}}" in
{options}    esac
  else
    return  # files
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _esparse esparse
)",
                     fmt::arg("cases", cases), fmt::arg("names", fmt::join(names, " ")),
                     fmt::arg("own", fmt::join(option_names(app), " ")), fmt::arg("options", options));
}

std::string zsh_completion(const CLI::App& app) {
  std::string names, cases;
  for (const CLI::App* command : commands(app)) {
    names += fmt::format("    '{}:{}'\n", command->get_name(), zsh_text(command->get_description()));
    cases += fmt::format("    {})\n      _arguments \\\n", command->get_name());
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : names_of(*option)) {
        cases += fmt::format("        '{}[{}]", name, zsh_text(option->get_description()));
        const std::vector<std::string> words = values_of(name);
        if (!words.empty()) {
          cases += fmt::format(":value:({})", fmt::join(words, " "));
        } else if (takes_value(*option)) {
          cases += ":value:_files";
        }
        cases += "' \\\n";
      }
    }
    cases += "        '*:file:_files'\n      ;;\n";
  }
  return fmt::format(R"(#compdef esparse
# zsh completion of esparse. For this shell, after compinit:  source <(esparse completion zsh)
_esparse() {{
  local -a commands=(
{names}  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{cases}  esac
}}
compdef _esparse esparse
)",
                     fmt::arg("names", names), fmt::arg("cases", cases));
}

}  // namespace esparse

// esparse completion: prints a script that lets a shell complete commands, options and recipe names.
#include <memory>

#include "cli/commands.h"
#include "cli/completion.h"

namespace esparse {

CommandBody add_completion_command(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* sub = app.add_subcommand("completion", "Print a script for completion in bash or zsh");
  sub->add_option("SHELL", *shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
  sub->footer(
      "Examples:\n"
      "  source <(esparse completion bash)                                     # for this shell\n"
      "  esparse completion bash > ~/.local/share/bash-completion/completions/esparse\n"
      "  esparse completion zsh > ~/.zfunc/_esparse                            # a directory of $fpath\n");
  return [shell, &app] { return print_out(*shell == "bash" ? bash_completion(app) : zsh_completion(app)); };
}

}  // namespace esparse

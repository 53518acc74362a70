// Completion scripts for shells, made from the commands and options as the parser knows them.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "base/status.h"

namespace esparse {

std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);

}  // namespace esparse

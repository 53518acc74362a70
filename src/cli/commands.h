// The sub-commands. Each adds itself to the parser and leaves a callable that main() runs when it was chosen.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "base/status.h"

namespace esparse {

using CommandBody = std::function<Status()>;

// What every sub-command has.
struct CommonOptions {
  int threads = 0;  // 0: physical cores
  bool json = false;
};

void add_threads_option(CLI::App& app, CommonOptions& common);
void add_json_option(CLI::App& app, CommonOptions& common, const std::string& what);

// Refuses numbers below 1, saying so.
CLI::Validator at_least_one();
// Refuses negative numbers, which would otherwise wrap around.
CLI::Validator not_negative();

// The returned body uses options that live as long as it does.
CommandBody add_prune_command(CLI::App& app);
CommandBody add_recipes_command(CLI::App& app);
CommandBody add_eval_command(CLI::App& app);
CommandBody add_compare_command(CLI::App& app);
CommandBody add_generate_command(CLI::App& app);
CommandBody add_inspect_command(CLI::App& app);
CommandBody add_bench_command(CLI::App& app);
CommandBody add_completion_command(CLI::App& app);  // `app` must live as long as the body

// Writes to standard output and checks that it arrived (a full disk, a closed pipe).
Status print_out(std::string_view text);

}  // namespace esparse

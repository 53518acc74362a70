// esparse: parses the command line, runs one sub-command, turns its Status into an exit status.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <new>
#include <vector>

#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/help.h"

namespace {

constexpr const char* kExamples = R"(Examples:
  esparse prune models/novel-1m -o /tmp/sparse --pattern 2:4 --calib models/text/calibration.txt
  esparse eval /tmp/sparse --text models/text/heldout.txt
  esparse compare models/novel-1m --recipes wanda,best --calib models/text/calibration.txt --text models/text/heldout.txt
  esparse generate /tmp/sparse --prompt "The old house" -n 64
  esparse inspect /tmp/sparse
  esparse bench --shapes llama3-8b --tokens 1,512
'esparse COMMAND --help' explains a command. ESPARSE_ISA=portable|avx2 forces the instruction set.
)";

int fail(const esparse::Status& status) {
  std::string line = status.message();  // one line, whatever a path or a file put into it
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  std::fprintf(stderr, "esparse: %s\n", line.c_str());
  return status.kind() == esparse::StatusKind::interrupted ? 130 : 1;  // 128 + SIGINT, as shells have it
}

// " (did you mean --context?)" for the first argument that no command knows.
std::string suggestion(const CLI::App& root) {
  const auto chosen = root.get_subcommands();
  const CLI::App& command = chosen.empty() ? root : *chosen.front();
  for (const std::string& argument : root.remaining(true)) {
    std::vector<std::string> known;
    if (argument.starts_with('-')) {
      for (const CLI::Option* option : command.get_options())
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    } else if (chosen.empty()) {
      for (const CLI::App* other : root.get_subcommands([](const CLI::App*) { return true; }))
        known.push_back(other->get_name());
    }
    return esparse::did_you_mean(argument.substr(0, argument.find('=')), known);
  }
  return "";
}

int run(int argc, char** argv) {
  CLI::App app("esparse makes large language models sparse, smaller and faster, and shows what that cost.", "esparse");
  app.set_version_flag("--version", "esparse 0.1.0");
  app.formatter(std::make_shared<esparse::HelpPage>());  // sub-commands inherit it
  app.footer(kExamples);
  app.failure_message([](const CLI::App* root, const CLI::Error& error) {
    const auto chosen = root->get_subcommands();
    const std::string command = chosen.empty() ? "esparse" : "esparse " + chosen.front()->get_name();
    return "esparse: " + std::string(error.what()) + suggestion(*root) + "\nTry '" + command + " --help'.\n";
  });
  std::vector<std::pair<CLI::App*, esparse::CommandBody>> commands;
  for (auto add : {esparse::add_prune_command, esparse::add_recipes_command, esparse::add_eval_command,
                   esparse::add_compare_command, esparse::add_generate_command, esparse::add_inspect_command,
                   esparse::add_bench_command, esparse::add_completion_command}) {
    const size_t before = app.get_subcommands({}).size();
    esparse::CommandBody body = add(app);
    commands.emplace_back(app.get_subcommands({})[before], std::move(body));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  for (auto& [command, body] : commands)
    if (command->parsed())
      if (const esparse::Status status = body(); !status.ok()) return fail(status);
  if (!app.get_subcommands().empty()) return 0;
  std::fputs(
      "esparse: a sub-command is required: prune, recipes, eval, compare, generate, inspect, bench or completion\n"
      "Try 'esparse --help'.\n",
      stderr);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then an error of write(), like a full disk
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    return fail(esparse::Status(esparse::StatusKind::out_of_memory, "not enough memory"));
  } catch (const std::exception& error) {  // a library threw where none of our code expects it
    return fail(esparse::internal_error("unexpected: {}", error.what()));
  }
}

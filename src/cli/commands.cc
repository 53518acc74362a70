#include "cli/commands.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace esparse {

void add_threads_option(CLI::App& app, CommonOptions& common) {
  app.add_option("--threads", common.threads, "Threads to use; 0 = one per physical core. Results do not depend on it")
      ->check(CLI::Range(0, 4096));
}

void add_json_option(CLI::App& app, CommonOptions& common, const std::string& what) {
  app.add_flag("--json", common.json, "Print one JSON object and nothing else: " + what);
}

Status print_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return io_error("standard output: {}", std::strerror(errno));
  return {};
}

}  // namespace esparse

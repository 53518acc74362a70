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

CLI::Validator at_least_one() {
  return {[](std::string& text) {
            const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
            const bool positive = digits && text.find_first_not_of('0') != std::string::npos;
            return positive ? std::string() : "expected a whole number of at least 1, got " + text;
          },
          ">=1", "at least one"};
}

CLI::Validator not_negative() {
  return {[](std::string& text) {
            return text.starts_with('-') ? "expected a number of at least 0, got " + text : std::string();
          },
          ">=0", "not negative"};
}

Status print_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return io_error("standard output: {}", std::strerror(errno));
  return {};
}

}  // namespace esparse

// The text to measure on: the options that `eval` and `compare` share.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/status.h"
#include "eval/prepared_text.h"
#include "eval/tasks.h"

namespace esparse {

struct TextSource {
  std::string text, join = "file", bos = "text";
  int64_t context = 0, stride = 0, max_windows = 0;

  CLI::Option* add_options(CLI::App& app);  // returns --text
  Result<TextOptions> options() const;
};

struct TaskSource {
  std::vector<std::string> tasks;
  int64_t limit = 0;  // of items; 0: all

  void add_options(CLI::App& app);
  // Noticed before long work: mistyped names.
  Result<std::vector<Task>> read() const;
};

// "windows side by side", "a window every 128 tokens".
std::string windows_text(const PreparedText& text);

}  // namespace esparse

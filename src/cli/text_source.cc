#include "cli/text_source.h"

#include <fmt/format.h>

#include "cli/commands.h"

namespace esparse {

CLI::Option* TextSource::add_options(CLI::App& app) {
  const std::string group = "Text";
  CLI::Option* option = app.add_option("--text", text, "Text file, or JSON lines with a field 'text'")->group(group);
  app.add_option("--context", context,
                 "Tokens per window (default: 2048, or the model's max_position_embeddings if that is less)")
      ->check(at_least_one())
      ->needs(option)
      ->group(group);
  app.add_option("--stride", stride,
                 "Tokens from one window to the next; less than --context slides, so that every token has at least "
                 "context - stride tokens before it (default: windows side by side)")
      ->check(at_least_one())
      ->needs(option)
      ->group(group);
  app.add_option(
         "--bos", bos,
         "text: one at the start of the text (and of every question of a task) where the tokenizer wants it, as "
         "Wanda, SparseGPT and the evaluation harness do; window: in front of every window; none")
      ->capture_default_str();
  app.add_option("--join", join,
                 "How documents are joined. file: as it stands; wikitext: every line a document, blank lines between, "
                 "as Wanda and SparseGPT do with WikiText-2; space: as they do with C4; separate: each on its own")
      ->capture_default_str()
      ->needs(option)
      ->group(group);
  app.add_option("--max-windows", max_windows, "Stop after this many windows")
      ->check(at_least_one())
      ->needs(option)
      ->group(group);
  return option;
}

Result<TextOptions> TextSource::options() const {
  TextOptions options{.file = text, .context = context, .stride = stride, .max_windows = max_windows};
  ESPARSE_ASSIGN_OR_RETURN(options.join, parse_join_rule(join));
  ESPARSE_ASSIGN_OR_RETURN(options.bos, parse_bos_rule(bos));
  return options;
}

void TaskSource::add_options(CLI::App& app) {
  const std::string group = "Zero-shot tasks";
  std::string names;
  for (const TaskSpec& spec : task_specs()) names += (names.empty() ? "" : ", ") + std::string(spec.name);
  app.add_option("--tasks", tasks, "Files of JSON lines whose names tell the task, or TASK=FILE; tasks: " + names)
      ->delimiter(',')
      ->group(group);
  app.add_option("--limit", limit, "Only the first items of each task")->check(at_least_one())->group(group);
}

Result<std::vector<Task>> TaskSource::read() const {
  std::vector<Task> read;
  for (const std::string& argument : tasks) {
    ESPARSE_ASSIGN_OR_RETURN(const TaskFile file, parse_task_argument(argument));
    ESPARSE_ASSIGN_OR_RETURN(Task task, read_task(file, limit));
    read.push_back(std::move(task));
  }
  return read;
}

std::string windows_text(const PreparedText& text) {
  const bool side_by_side = text.options.stride + (text.bos ? 1 : 0) == text.options.context;
  return side_by_side ? "windows side by side" : fmt::format("a window every {} tokens", text.options.stride);
}

}  // namespace esparse

#include "eval/tasks.h"

#include <algorithm>
#include <array>

#include "base/nearest.h"
#include "base/sha256.h"
#include "eval/task_layouts.h"
#include "io/files.h"
#include "io/json.h"
#include "text/corpus.h"

namespace esparse {
namespace {

constexpr std::array<TaskSpec, 11> kTasks = {{
    {"hellaswag", "HellaSwag", TaskKind::choices, "", hellaswag_item},
    {"openbookqa", "OpenBookQA", TaskKind::choices, "", openbookqa_item},
    {"piqa", "PIQA", TaskKind::choices, "\nAnswer:", piqa_item},
    {"sciq", "SciQ", TaskKind::choices, "\nAnswer:", sciq_item},
    {"logiqa", "LogiQA", TaskKind::choices, "\nAnswer:", logiqa_item},
    {"arc_easy", "ARC-easy", TaskKind::choices, "\nAnswer:", arc_item},
    {"arc_challenge", "ARC-challenge", TaskKind::choices, "\nAnswer:", arc_item},
    {"boolq", "BoolQ", TaskKind::plain_choices, "\nAnswer:", boolq_item},
    {"winogrande", "WinoGrande", TaskKind::plain_choices, "", winogrande_item},
    {"lambada", "LAMBADA", TaskKind::last_word, "", lambada_item},
    {"choices", "choices", TaskKind::choices, "", nullptr},  // anybody's own questions
}};

// Letters and digits only, so that "openbook_qa" and "logi_qa" are found too.
std::string bare(std::string_view name) {
  std::string letters;
  for (char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      letters += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return letters;
}

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const TaskSpec& spec : kTasks) names.emplace_back(spec.name);
  return names;
}

Status check_item(const TaskItem& item, const std::string& label) {
  const auto count = static_cast<int64_t>(item.choices.size());
  if (count == 0) return corruption("{}: expected at least one choice, got none", label);
  if (item.gold < 0 || item.gold >= count)
    return corruption("{}: gold: expected 0 to {}, got {}", label, count - 1, item.gold);
  for (const Choice& choice : item.choices)
    if (choice.answer.empty()) return corruption("{}: expected choices with text, got an empty one", label);
  return {};
}

}  // namespace

std::span<const TaskSpec> task_specs() { return kTasks; }

Result<const TaskSpec*> find_task(std::string_view name) {
  for (const TaskSpec& spec : kTasks)
    if (spec.name == name) return &spec;
  const std::vector<std::string> names = task_names();
  return not_found("task \"{}\": expected one of {}{}", name, fmt::join(names, ", "), did_you_mean(name, names));
}

Result<TaskFile> parse_task_argument(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals != std::string::npos && text.find('/') > equals) {
    ESPARSE_ASSIGN_OR_RETURN(const TaskSpec* spec, find_task(text.substr(0, equals)));
    return TaskFile{spec, text.substr(equals + 1)};
  }
  const std::filesystem::path path = text;
  const std::string stem = bare(path.stem().string());
  for (const TaskSpec& spec : kTasks)
    if (stem.starts_with(bare(spec.name))) return TaskFile{&spec, path};
  return invalid_argument("--tasks: {}: the name of the file tells no task; write TASK={}, TASK one of {}", text, text,
                          fmt::join(task_names(), ", "));
}

Result<Task> read_task(const TaskFile& file, int64_t limit) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string content, read_file(file.path, kMaxCorpusBytes));
  Task task{.spec = file.spec, .path = file.path, .file_sha256 = sha256_hex(content), .items = {}};
  std::vector<TaskItem>& items = task.items;
  int64_t number = 0;
  for (size_t start = 0; start < content.size() && (limit == 0 || std::ssize(items) < limit);) {
    const size_t end = std::min(content.find('\n', start), content.size());
    const std::string_view line = std::string_view(content).substr(start, end - start);
    start = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string label = fmt::format("{}: line {}", file.path.string(), number);
    ESPARSE_ASSIGN_OR_RETURN(const Json object, parse_json(line, label));
    const JsonFields fields(object, label);
    const bool as_query = file.spec->parse == nullptr || fields.has("query");
    ESPARSE_ASSIGN_OR_RETURN(TaskItem item,
                             as_query ? query_item(fields, file.spec->ending) : file.spec->parse(fields));
    ESPARSE_RETURN_IF_ERROR(check_item(item, label));
    items.push_back(std::move(item));
  }
  if (items.empty()) return corruption("{}: expected JSON lines, got an empty file", file.path.string());
  return task;
}

}  // namespace esparse

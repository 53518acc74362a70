// Zero-shot tasks as the EleutherAI evaluation harness puts them: what the model reads, what it may answer, and which
// figures count. docs/evaluation.md describes prompts and files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "io/json.h"

namespace esparse {

struct Choice {
  std::string context;       // what the model reads
  std::string continuation;  // what it is asked about, the space in front included
  std::string answer;        // the text whose length acc_norm and acc_bytes divide by
};

struct TaskItem {
  std::vector<Choice> choices;
  int64_t gold = 0;  // index of the right one
};

// Which figures a task has beside acc.
enum class TaskKind {
  choices,        // acc_norm and acc_bytes
  plain_choices,  // none (BoolQ, WinoGrande)
  last_word       // perplexity; acc is a greedy match of the one continuation (LAMBADA)
};

struct TaskSpec {
  std::string_view name;   // "arc_easy"
  std::string_view title;  // "ARC-easy"
  TaskKind kind = TaskKind::choices;
  std::string_view ending;                                        // what follows the query of a line with `query`
  Result<TaskItem> (*parse)(const JsonFields& fields) = nullptr;  // of all other lines; null: there are none
};

std::span<const TaskSpec> task_specs();
// The error lists the names and suggests the nearest.
Result<const TaskSpec*> find_task(std::string_view name);

struct TaskFile {
  const TaskSpec* spec = nullptr;
  std::filesystem::path path;
};

// "piqa=FILE", or a file whose name begins with that of a task: "arc_easy.jsonl", "hellaswag_val.jsonl".
Result<TaskFile> parse_task_argument(const std::string& text);

struct Task {
  const TaskSpec* spec = nullptr;
  std::filesystem::path path;
  std::string file_sha256;  // of all of the file
  std::vector<TaskItem> items;
};

// A file of JSON lines in either layout; its first `limit` items (0: all). Errors name file, line and field. Refuses an
// item without choices, a gold index outside them, and a file without items.
Result<Task> read_task(const TaskFile& file, int64_t limit);

}  // namespace esparse

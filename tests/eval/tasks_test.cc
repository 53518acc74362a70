#include "eval/tasks.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

// The prompts are those of the evaluation harness, lm-eval 0.4.13: its YAML files and preprocess functions, by hand.
struct Line {
  const char* task;
  const char* json;
  std::vector<std::string> contexts;       // one for all choices, or one each
  std::vector<std::string> continuations;  // one for all choices, or one each
  int64_t gold;
};
void PrintTo(const Line& line, std::ostream* out) { *out << line.task << " " << line.json; }

const Line kLines[] = {
    {"piqa",
     R"({"goal": "Open a jar", "sol1": "twist", "sol2": "shout", "label": 1})",
     {"Question: Open a jar\nAnswer:"},
     {" twist", " shout"},
     1},
    {"piqa",
     R"({"query": "Question: Open a jar\n", "choices": ["twist", "shout"], "gold": 1})",
     {"Question: Open a jar\nAnswer:"},
     {" twist", " shout"},
     1},
    {"arc_easy",
     R"({"question": "Why?", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}, "answerKey": "3"})",
     {"Question: Why?\nAnswer:"},
     {" a", " b", " c"},
     2},
    {"arc_challenge",
     R"({"query": "Question: Why?", "choices": ["a", "b"], "gold": 0})",
     {"Question: Why?\nAnswer:"},
     {" a", " b"},
     0},
    {"openbookqa",
     R"({"question_stem": "Frogs are", "choices": {"text": ["green", "loud"], "label": ["A", "B"]}, "answerKey": "B"})",
     {"Frogs are"},
     {" green", " loud"},
     1},
    {"sciq",
     R"({"support": "\n Acids are sour.", "question": "What is sour?", "distractor1": "salt", "distractor2": "sand",
         "distractor3": "soap", "correct_answer": "acid"})",
     {"Acids are sour.\nQuestion: What is sour?\nAnswer:"},
     {" salt", " sand", " soap", " acid"},
     3},
    {"logiqa",
     R"({"context": "All A are B.", "question": "Then?", "options": ["x", "y"], "label": "b"})",
     {"Passage: All A are B.\nQuestion: Then?\nChoices:\nA. x\nB. y\nAnswer:"},
     {" x", " y"},
     1},
    {"boolq",
     R"({"passage": "Cats purr.", "question": "do cats purr", "label": 1})",
     {"Cats purr.\nQuestion: do cats purr?\nAnswer:"},
     {" no", " yes"},
     1},
    {"boolq",
     R"({"passage": "Cats purr.", "question": "do cats bark", "label": false})",
     {"Cats purr.\nQuestion: do cats bark?\nAnswer:"},
     {" no", " yes"},
     0},
    {"winogrande",
     R"({"sentence": "Ann thanked Bo because _ was kind. ", "option1": "Ann", "option2": "Bo", "answer": "2"})",
     {"Ann thanked Bo because Ann", "Ann thanked Bo because Bo"},
     {" was kind."},
     1},
    {"winogrande",
     R"({"context_options": ["so Ann", "so Bo"], "continuation": "left.", "gold": 0})",
     {"so Ann", "so Bo"},
     {" left."},
     0},
    {"lambada", R"({"text": "He opened the  door"})", {"He opened the "}, {" door"}, 0},
    {"lambada", R"({"context": "He opened the", "continuation": "door"})", {"He opened the"}, {" door"}, 0},
    // Title marks, brackets (not across lines), double spaces; ctx_b as Python's capitalize() has it.
    {"hellaswag",
     R"({"activity_label": "Baking", "ctx_a": "A cook [header] Bake [title] Mix it.", "ctx_b": "the Dough",
         "endings": [" is [step] done. ", "a   b", "open [ end"], "label": "0"})",
     {"Baking: A cook Bake. Mix it. The dough"},
     {" is done.", " a  b", " open [ end"},
     0},
    {"choices", R"({"query": "2 + 2 = ", "choices": ["4", "5"], "gold": "0"})", {"2 + 2 ="}, {" 4", " 5"}, 0},
};

class TaskLine : public testing::TestWithParam<Line> {};

TEST_P(TaskLine, IsPutAsTheHarnessPutsIt) {
  const Line& line = GetParam();
  TempDir directory;
  std::string json = line.json;
  std::erase(json, '\n');
  write_text(directory / "items.jsonl", "\n" + json + "\n");
  const auto task = read_task({*find_task(line.task), directory / "items.jsonl"}, 0);
  ASSERT_TRUE(task.ok()) << task.status().message();
  ASSERT_EQ(task->items.size(), 1u);
  const TaskItem& item = task->items.front();
  const size_t count = std::max(line.contexts.size(), line.continuations.size());
  ASSERT_EQ(item.choices.size(), count);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(item.choices[i].context, line.contexts[line.contexts.size() == 1 ? 0 : i]);
    EXPECT_EQ(item.choices[i].continuation, line.continuations[line.continuations.size() == 1 ? 0 : i]);
    // acc_norm divides by the choice: the answer without its space, or WinoGrande's context.
    const bool by_context = line.contexts.size() > 1;
    EXPECT_EQ(item.choices[i].answer, by_context ? item.choices[i].context : item.choices[i].continuation.substr(1));
  }
  EXPECT_EQ(item.gold, line.gold);
}
INSTANTIATE_TEST_SUITE_P(Layouts, TaskLine, testing::ValuesIn(kLines));

struct BadLine {
  const char* task;
  const char* json;
  const char* text;
};
void PrintTo(const BadLine& line, std::ostream* out) { *out << line.json; }

const BadLine kBadLines[] = {
    {"piqa", R"({"goal": "x", "sol1": "a", "label": 0})", "\"sol2\" is missing"},
    {"piqa", R"({"goal": "x", "sol1": "a", "sol2": "b", "label": 2})", "gold: expected 0 to 1, got 2"},
    {"piqa", R"({"goal": "x", "sol1": "a", "sol2": "", "label": 0})", "an empty one"},
    {"piqa", R"({"query": "x", "choices": "ab", "gold": 0})", "choices: expected a list of texts"},
    {"piqa", R"({"query": "x", "choices": ["a", 1], "gold": 0})", "choices: expected a list of texts"},
    {"piqa", R"({"query": "x", "choices": [], "gold": 0})", "at least one choice"},
    {"piqa", R"({"query": "x", "choices": ["a"], "gold": "first"})", "gold: expected a number"},
    {"piqa", "[1]", "expected an object"},
    {"piqa", "{", "line 2"},
    {"sciq", R"({"question": "x", "answer": "y"})", "distractor1"},
    {"arc_easy", R"({"question": "x", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "B"})", "answerKey"},
    {"logiqa", R"({"context": "x", "question": "y", "options": ["a"], "label": "e"})", "gold: expected 0 to 0"},
    {"winogrande", R"({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"})", "expected a gap"},
    {"lambada", R"({"text": "word"})", "several words"},
    {"choices", R"({"question": "x"})", "\"query\" is missing"},
};

class BadTaskLine : public testing::TestWithParam<BadLine> {};

TEST_P(BadTaskLine, IsRefusedByLineAndField) {
  TempDir directory;
  write_text(directory / "items.jsonl", "\n" + std::string(GetParam().json) + "\n");
  const auto task = read_task({*find_task(GetParam().task), directory / "items.jsonl"}, 0);
  ASSERT_FALSE(task.ok());
  EXPECT_NE(task.status().message().find(GetParam().text), std::string::npos) << task.status().message();
  EXPECT_NE(task.status().message().find("line 2"), std::string::npos) << task.status().message();
}
INSTANTIATE_TEST_SUITE_P(Layouts, BadTaskLine, testing::ValuesIn(kBadLines));

TEST(TaskFiles, AreToldByTheirNames) {
  const auto name = [](const std::string& text) {
    const auto file = parse_task_argument(text);
    return file.ok() ? std::string(file->spec->name) + " " + file->path.string() : file.status().message();
  };
  EXPECT_EQ(name("data/arc_easy.jsonl"), "arc_easy data/arc_easy.jsonl");
  EXPECT_EQ(name("openbook_qa.jsonl"), "openbookqa openbook_qa.jsonl");
  EXPECT_EQ(name("logi_qa.jsonl"), "logiqa logi_qa.jsonl");
  EXPECT_EQ(name("hellaswag_val_1000.jsonl"), "hellaswag hellaswag_val_1000.jsonl");
  EXPECT_EQ(name("piqa=a/b=c.jsonl"), "piqa a/b=c.jsonl");
  EXPECT_EQ(name("./a=b/piqa.jsonl"), "piqa ./a=b/piqa.jsonl") << "the '=' belongs to a directory";
  EXPECT_NE(name("pika=x.jsonl").find("did you mean piqa?"), std::string::npos) << name("pika=x.jsonl");
  EXPECT_NE(name("questions.jsonl").find("tells no task"), std::string::npos);
}

TEST(TaskFiles, LimitAndEmptyFiles) {
  TempDir directory;
  const std::string line = R"({"query": "x", "choices": ["a"], "gold": 0})";
  write_text(directory / "three.jsonl", line + "\n" + line + "\n\n" + line);
  const TaskSpec* spec = *find_task("choices");
  EXPECT_EQ(read_task({spec, directory / "three.jsonl"}, 0)->items.size(), 3u);
  EXPECT_EQ(read_task({spec, directory / "three.jsonl"}, 2)->items.size(), 2u);
  write_text(directory / "empty.jsonl", " \n");
  EXPECT_TRUE(
      is_failure(read_task({spec, directory / "empty.jsonl"}, 0).status(), StatusKind::corruption, "empty file"));
}

}  // namespace
}  // namespace esparse

#include "eval/task_layouts.h"

#include <algorithm>

#include "text/unicode.h"

namespace esparse {
namespace {

// Without white space in front, behind, or both.
std::string_view strip_front(std::string_view text) {
  while (!text.empty() && is_white_space(code_point_at(text, 0).value))
    text.remove_prefix(code_point_at(text, 0).bytes);
  return text;
}

std::string_view strip_back(std::string_view text) {
  while (!text.empty() && is_white_space(code_point_before(text, text.size()).value))
    text.remove_suffix(code_point_before(text, text.size()).bytes);
  return text;
}

std::string_view strip(std::string_view text) { return strip_back(strip_front(text)); }

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

// Choices that all answer one context, with the space that the harness puts between.
TaskItem one_context(const std::string& context, std::vector<std::string> answers, int64_t gold) {
  TaskItem item;
  for (std::string& answer : answers) item.choices.push_back({context, " " + answer, std::move(answer)});
  item.gold = gold;
  return item;
}

Result<std::vector<std::string>> strings(const JsonFields& fields, std::string_view key) {
  const Json& list = fields.raw(key);
  std::vector<std::string> texts;
  const auto refused = [&] { return corruption("{}: {}: expected a list of texts", fields.label(), key); };
  if (!list.is_array()) return refused();
  for (const Json& entry : list) {
    if (!entry.is_string()) return refused();
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

// A number, or its digits as text: both are found.
Result<int64_t> index_field(const JsonFields& fields, std::string_view key) {
  if (!fields.raw(key).is_string()) return fields.integer(key);
  const auto text = fields.raw(key).get<std::string>();
  if (text.empty() || text.size() > 4 || text.find_first_not_of("0123456789") != std::string::npos)
    return corruption("{}: {}: expected a number, got \"{}\"", fields.label(), key, text);
  return std::stoll(text);
}

// The harness removes what WikiHow's pages left behind.
std::string clean_hellaswag(std::string_view text) {
  std::string clean = replace_all(std::string(strip(text)), " [title]", ". ");
  for (size_t open = clean.find('['); open != std::string::npos; open = clean.find('[', open)) {
    const size_t close = clean.find(']', open);
    if (close == std::string::npos) break;
    if (clean.substr(open, close - open).find('\n') != std::string::npos) {  // '.' of the expression stops there
      ++open;
      continue;
    }
    clean.erase(open, close - open + 1);
  }
  std::string single;  // every pair of spaces becomes one, from left to right
  for (size_t i = 0; i < clean.size(); ++i) {
    single += clean[i];
    if (clean[i] == ' ' && i + 1 < clean.size() && clean[i + 1] == ' ') ++i;
  }
  return single;
}

// `choices` as {"text": [...], "label": [...]}, `answerKey` one of the labels: OpenBookQA, ARC.
Result<TaskItem> labelled_choices(const JsonFields& fields, std::string_view question_key, std::string_view before,
                                  std::string_view after) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string question, fields.string(question_key));
  ESPARSE_ASSIGN_OR_RETURN(const std::string key, fields.string("answerKey"));
  const JsonFields choices(fields.raw("choices"), fields.label() + ": choices");
  ESPARSE_ASSIGN_OR_RETURN(std::vector<std::string> answers, strings(choices, "text"));
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<std::string> labels, strings(choices, "label"));
  const auto found = std::ranges::find(labels, std::string(strip(key)));
  if (found == labels.end() || labels.size() != answers.size())
    return corruption("{}: answerKey: expected one of {}, got \"{}\"", fields.label(), fmt::join(labels, ", "), key);
  return one_context(fmt::format("{}{}{}", before, question, after), std::move(answers), found - labels.begin());
}

// The sentence up to the gap with either name in it is what the model reads, the rest what it is asked about.
TaskItem two_contexts(const std::vector<std::string>& contexts, std::string_view rest, int64_t gold) {
  TaskItem item;
  for (const std::string& context : contexts) item.choices.push_back({context, " " + std::string(rest), context});
  item.gold = gold;
  return item;
}

}  // namespace

Result<TaskItem> query_item(const JsonFields& fields, std::string_view ending) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string query, fields.string("query"));
  ESPARSE_ASSIGN_OR_RETURN(std::vector<std::string> answers, strings(fields, "choices"));
  ESPARSE_ASSIGN_OR_RETURN(const int64_t gold, index_field(fields, "gold"));
  return one_context(fmt::format("{}{}", strip_back(query), ending), std::move(answers), gold);
}

Result<TaskItem> hellaswag_item(const JsonFields& fields) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string activity, fields.string("activity_label"));
  ESPARSE_ASSIGN_OR_RETURN(const std::string first, fields.string("ctx_a"));
  ESPARSE_ASSIGN_OR_RETURN(const std::string second, fields.string("ctx_b"));
  ESPARSE_ASSIGN_OR_RETURN(std::vector<std::string> endings, strings(fields, "endings"));
  ESPARSE_ASSIGN_OR_RETURN(const int64_t label, index_field(fields, "label"));
  for (std::string& ending : endings) ending = clean_hellaswag(ending);
  return one_context(clean_hellaswag(activity + ": " + first + " " + capitalize(second)), std::move(endings), label);
}

Result<TaskItem> openbookqa_item(const JsonFields& fields) { return labelled_choices(fields, "question_stem", "", ""); }

Result<TaskItem> arc_item(const JsonFields& fields) {
  return labelled_choices(fields, "question", "Question: ", "\nAnswer:");
}

Result<TaskItem> piqa_item(const JsonFields& fields) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string goal, fields.string("goal"));
  ESPARSE_ASSIGN_OR_RETURN(std::string first, fields.string("sol1"));
  ESPARSE_ASSIGN_OR_RETURN(std::string second, fields.string("sol2"));
  ESPARSE_ASSIGN_OR_RETURN(const int64_t label, index_field(fields, "label"));
  return one_context("Question: " + goal + "\nAnswer:", {std::move(first), std::move(second)}, label);
}

Result<TaskItem> sciq_item(const JsonFields& fields) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string support, fields.string("support", ""));
  ESPARSE_ASSIGN_OR_RETURN(const std::string question, fields.string("question"));
  std::vector<std::string> answers;
  for (const char* key : {"distractor1", "distractor2", "distractor3", "correct_answer"}) {
    ESPARSE_ASSIGN_OR_RETURN(std::string answer, fields.string(key));
    answers.push_back(std::move(answer));
  }
  return one_context(fmt::format("{}\nQuestion: {}\nAnswer:", strip_front(support), question), std::move(answers), 3);
}

Result<TaskItem> logiqa_item(const JsonFields& fields) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string passage, fields.string("context"));
  ESPARSE_ASSIGN_OR_RETURN(const std::string question, fields.string("question"));
  ESPARSE_ASSIGN_OR_RETURN(std::vector<std::string> options, strings(fields, "options"));
  ESPARSE_ASSIGN_OR_RETURN(const std::string label, fields.string("label"));
  std::string prompt = fmt::format("Passage: {}\nQuestion: {}\nChoices:\n", passage, question);
  for (size_t i = 0; i < options.size() && i < 4; ++i)
    prompt += fmt::format("{}. {}\n", static_cast<char>('A' + i), options[i]);
  const std::string_view letter = strip(label);
  const int64_t gold = letter.size() == 1 ? letter[0] - 'a' : -1;
  return one_context(prompt + "Answer:", std::move(options), gold);
}

Result<TaskItem> boolq_item(const JsonFields& fields) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string passage, fields.string("passage"));
  ESPARSE_ASSIGN_OR_RETURN(const std::string question, fields.string("question"));
  int64_t gold = 0;
  if (fields.raw("label").is_boolean()) {
    gold = fields.raw("label").get<bool>() ? 1 : 0;
  } else {
    ESPARSE_ASSIGN_OR_RETURN(gold, index_field(fields, "label"));
  }
  return one_context(fmt::format("{}\nQuestion: {}?\nAnswer:", passage, question), {"no", "yes"}, gold);
}

Result<TaskItem> winogrande_item(const JsonFields& fields) {
  if (fields.has("context_options")) {
    ESPARSE_ASSIGN_OR_RETURN(const std::vector<std::string> contexts, strings(fields, "context_options"));
    ESPARSE_ASSIGN_OR_RETURN(const std::string rest, fields.string("continuation"));
    ESPARSE_ASSIGN_OR_RETURN(const int64_t gold, index_field(fields, "gold"));
    return two_contexts(contexts, rest, gold);
  }
  ESPARSE_ASSIGN_OR_RETURN(const std::string sentence, fields.string("sentence"));
  ESPARSE_ASSIGN_OR_RETURN(const std::string first, fields.string("option1"));
  ESPARSE_ASSIGN_OR_RETURN(const std::string second, fields.string("option2"));
  ESPARSE_ASSIGN_OR_RETURN(const int64_t answer, index_field(fields, "answer"));
  const size_t gap = sentence.find('_');
  if (gap == std::string::npos) return corruption("{}: sentence: expected a gap \"_\"", fields.label());
  const std::string before = sentence.substr(0, gap);
  return two_contexts({before + first, before + second}, strip(std::string_view(sentence).substr(gap + 1)), answer - 1);
}

Result<TaskItem> lambada_item(const JsonFields& fields) {
  if (fields.has("context")) {
    ESPARSE_ASSIGN_OR_RETURN(const std::string context, fields.string("context"));
    ESPARSE_ASSIGN_OR_RETURN(std::string word, fields.string("continuation"));
    return one_context(context, {std::move(word)}, 0);
  }
  ESPARSE_ASSIGN_OR_RETURN(const std::string text, fields.string("text"));
  const size_t space = text.rfind(' ');
  if (space == std::string::npos) return corruption("{}: text: expected several words", fields.label());
  return one_context(text.substr(0, space), {text.substr(space + 1)}, 0);
}

}  // namespace esparse

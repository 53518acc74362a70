#include "eval/task_result.h"

#include <algorithm>

#include "base/interrupt.h"
#include "base/progress.h"

namespace esparse {
namespace {

double characters(std::string_view text) {
  return static_cast<double>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

// The index of the largest log-likelihood / length, the first of several.
template <typename Length>
int64_t best_choice(const TaskItem& item, std::span<const ChoiceScore> scores, Length&& length) {
  size_t best = 0;
  const auto value = [&](size_t i) { return scores[i].log_likelihood / length(item.choices[i].answer); };
  for (size_t i = 1; i < scores.size(); ++i)
    if (value(i) > value(best)) best = i;
  return static_cast<int64_t>(best);
}

ItemResult judge(const TaskItem& item, std::vector<ChoiceScore> scores) {
  ItemResult result;
  result.gold = item.gold;
  result.best = best_choice(item, scores, [](const std::string&) { return 1.0; });
  result.best_norm = best_choice(item, scores, characters);
  result.best_bytes = best_choice(item, scores, [](const std::string& a) { return static_cast<double>(a.size()); });
  result.scores = std::move(scores);
  return result;
}

Estimate share(const TaskResult& result, bool (*is_right)(const ItemResult&)) {
  const auto right = std::ranges::count_if(result.details, is_right);
  return estimate_share(static_cast<double>(right), static_cast<double>(result.details.size()));
}

}  // namespace

TaskResult count_task(const TaskSpec& spec, std::span<const TaskItem> items,
                      std::vector<std::vector<ChoiceScore>> scores) {
  TaskResult result;
  result.spec = &spec;
  result.all_items = std::ssize(items);
  result.items = std::ssize(scores);
  for (size_t i = 0; i < scores.size(); ++i) result.details.push_back(judge(items[i], std::move(scores[i])));
  if (spec.kind == TaskKind::last_word) {
    result.acc = share(result, [](const ItemResult& item) { return item.scores[0].greedy; });
    std::vector<double> losses;
    for (const ItemResult& item : result.details) losses.push_back(-item.scores[0].log_likelihood);
    result.perplexity = exp_of(estimate_mean(losses));
    return result;
  }
  result.acc = share(result, [](const ItemResult& item) { return item.best == item.gold; });
  if (spec.kind == TaskKind::choices) {
    result.acc_norm = share(result, [](const ItemResult& item) { return item.best_norm == item.gold; });
    result.acc_bytes = share(result, [](const ItemResult& item) { return item.best_bytes == item.gold; });
  }
  return result;
}

Result<TaskResult> run_task(Engine& engine, const Tokenizer& tokenizer, const Task& task,
                            const EncodeOptions& encoding) {
  const TaskSpec& spec = *task.spec;
  std::vector<EncodedItem> encoded;
  for (const TaskItem& item : task.items) {
    auto tokens = encode_item(item, tokenizer, encoding);
    if (!tokens.ok())
      return tokens.status().with_context(fmt::format("{}: item {}", task.path.string(), encoded.size() + 1));
    encoded.push_back(std::move(tokens).value());
  }
  Progress progress(std::string(spec.name), std::ssize(task.items));
  ScoreStatistics statistics;
  auto scores = score_items(engine, encoded, statistics, [&](int64_t done) { progress.advance(done); });
  if (!scores.ok()) return scores.status().with_context(task.path.string());
  if (scores->empty())
    return Status(StatusKind::interrupted, fmt::format("{}: interrupted before the first item was done", spec.name));
  TaskResult result = count_task(spec, task.items, std::move(scores).value());
  result.file_sha256 = task.file_sha256;
  result.statistics = statistics;
  return result;
}

}  // namespace esparse

#include "eval/score_choices.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "base/parallel.h"
#include "eval/golden_model.h"
#include "eval/task_result.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// Letters are their own ids; "ab" is one token, so that a context's last letter can melt into its continuation. BOS 1.
class LetterTokenizer final : public Tokenizer {
 public:
  explicit LetterTokenizer(bool has_bos) : has_bos_(has_bos) {}
  Result<std::vector<int32_t>> encode(std::string_view text, bool add_special) const override {
    std::vector<int32_t> ids;
    if (add_special && has_bos_) ids.push_back(1);
    for (size_t i = 0; i < text.size(); ++i) {
      if (text.substr(i, 2) == "ab") {
        ids.push_back(90);
        ++i;
      } else {
        ids.push_back(text[i] == ' ' ? 3 : text[i] - 'a' + 10);
      }
    }
    return ids;
  }
  Result<std::string> decode(std::span<const int32_t>) const override { return std::string(); }
  int64_t vocab_size() const override { return 96; }
  std::optional<int32_t> bos_id() const override { return has_bos_ ? std::optional<int32_t>(1) : std::nullopt; }
  std::optional<int32_t> eos_id() const override { return 2; }

 private:
  bool has_bos_;
};

EncodedChoice encode_one(const Choice& choice, bool has_bos) {
  const LetterTokenizer tokenizer(has_bos);
  const auto item = encode_item({{choice}, 0}, tokenizer, encode_options(tokenizer, BosRule::text));
  EXPECT_TRUE(item.ok()) << item.status().message();
  return item->front();
}

TEST(EncodeItem, SplitsWhereTheContextAloneEnds) {
  const EncodedChoice plain = encode_one({"cd", " ef", "ef"}, false);
  EXPECT_EQ(plain.context, (std::vector<int32_t>{12, 13}));
  EXPECT_EQ(plain.continuation, (std::vector<int32_t>{3, 14, 15}));
  const EncodedChoice with_bos = encode_one({"cd", " ef", "ef"}, true);
  EXPECT_EQ(with_bos.context, (std::vector<int32_t>{1, 12, 13}));
  EXPECT_EQ(with_bos.continuation, plain.continuation);
  const EncodedChoice spaced = encode_one({"cd ", "ef", "ef"}, false);
  EXPECT_EQ(spaced.context, plain.context) << "a space at the end of the context belongs to the continuation";
  EXPECT_EQ(spaced.continuation, plain.continuation);
  const EncodedChoice melted = encode_one({"ca", "bd", "bd"}, false);
  EXPECT_EQ(melted.context, (std::vector<int32_t>{12, 10}));
  EXPECT_EQ(melted.continuation, (std::vector<int32_t>{13})) << "tokens beyond as many as the context alone has";
  EXPECT_EQ(encode_one({"", "ef", "ef"}, false).context, (std::vector<int32_t>{2})) << "EOS stands for nothing";
  EXPECT_EQ(encode_one({"", "ef", "ef"}, true).context, (std::vector<int32_t>{1}));
  EXPECT_EQ(encode_one({"ca", "b", "b"}, false).continuation, (std::vector<int32_t>{11})) << "nothing is beyond";
  const LetterTokenizer tokenizer(false);
  EXPECT_FALSE(encode_item({{{"ca", "", ""}}, 0}, tokenizer, {}).ok()) << "no tokens";
}

// One choice at a time through forward(), logits in double.
double plain_log_likelihood(const Model& model, const EncodedChoice& choice, bool& greedy) {
  std::vector<int32_t> all = choice.context;
  all.insert(all.end(), choice.continuation.begin(), choice.continuation.end());
  const auto most = static_cast<size_t>(model.config().max_positions) + 1;
  if (all.size() > most) all.erase(all.begin(), all.end() - static_cast<ptrdiff_t>(most));
  all.pop_back();
  KvCache cache = model.make_cache(std::ssize(all));
  const Matrix<float> hidden = model.forward(all, cache).value();
  Matrix<float> logits(hidden.rows(), model.config().vocab_size);
  model.logits(hidden.view(), logits.view());
  double sum = 0;
  greedy = true;
  for (size_t i = 0; i < choice.continuation.size(); ++i) {
    const auto row = logits.row(hidden.rows() - std::ssize(choice.continuation) + static_cast<int64_t>(i));
    double total = 0;
    for (float value : row) total += std::exp(static_cast<double>(value));
    sum += row[choice.continuation[i]] - std::log(total);
    greedy = greedy && std::ranges::max_element(row) - row.begin() == choice.continuation[i];
  }
  return sum;
}

std::vector<int32_t> random_ids(std::mt19937& random, int64_t count) {
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % 90);
  return ids;
}

// Shared contexts, contexts that differ, single tokens, nothing shared, too long for the model, the most probable
// token.
std::vector<EncodedItem> make_items(const Model& model) {
  std::mt19937 random(7);
  std::vector<EncodedItem> items;
  for (int64_t n = 0; n < 60; ++n) {
    const std::vector<int32_t> context = random_ids(random, 1 + n % 40);
    EncodedItem item;
    for (int64_t choice = 0; choice < 1 + n % 4; ++choice) {
      item.push_back({context, random_ids(random, 1 + (n * choice) % 7)});
      if (n % 5 == 4) item.back().context = random_ids(random, 3 + choice);
    }
    if (n % 10 == 9) item[0].context = random_ids(random, model.config().max_positions + 5);
    items.push_back(std::move(item));
  }
  KvCache cache = model.make_cache(4);
  Matrix<float> logits(1, model.config().vocab_size);
  const std::vector<int32_t> start = {5, 6};
  const Matrix<float> hidden = model.forward(start, cache).value();
  model.logits(hidden.view().rows_from(1, 1), logits.view());
  const auto top = static_cast<int32_t>(std::ranges::max_element(logits.row(0)) - logits.row(0).begin());
  items.push_back({{start, {top}}, {start, {top == 0 ? 1 : 0}}});
  return items;
}

class ScoreItems : public testing::TestWithParam<const char*> {};

TEST_P(ScoreItems, AgreeWithOneChoiceAtATime) {
  const auto model = load_model(kFixture.parent_path() / GetParam());
  CpuEngine engine(*model);
  const std::vector<EncodedItem> items = make_items(*model);
  ScoreStatistics statistics;
  int64_t done = 0;
  const auto scores = score_items(engine, items, statistics, [&](int64_t count) { done += count; });
  ASSERT_TRUE(scores.ok()) << scores.status().message();
  ASSERT_EQ(scores->size(), items.size());
  EXPECT_EQ(done, std::ssize(items));
  int64_t tokens = 0;
  for (size_t i = 0; i < items.size(); ++i)
    for (size_t choice = 0; choice < items[i].size(); ++choice) {
      bool greedy = false;
      const double expected = plain_log_likelihood(*model, items[i][choice], greedy);
      EXPECT_NEAR((*scores)[i][choice].log_likelihood, expected, 2e-4) << "item " << i << ", choice " << choice;
      EXPECT_EQ((*scores)[i][choice].greedy, greedy);
      tokens += std::min<int64_t>(std::ssize(items[i][choice].context) + std::ssize(items[i][choice].continuation) - 1,
                                  model->config().max_positions);
    }
  EXPECT_TRUE(scores->back()[0].greedy);
  EXPECT_FALSE(scores->back()[1].greedy);
  EXPECT_EQ(statistics.tokens, tokens);
  EXPECT_LT(statistics.tokens_run, tokens * 3 / 4) << "shared contexts are read once";
  EXPECT_EQ(statistics.cut_items, 6);
}
INSTANTIATE_TEST_SUITE_P(Families, ScoreItems,
                         testing::Values("llama2-gqa-untied", "qwen3", "opt-prenorm", "mistral-sliding"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(ScoreItems, ThreadCountDoesNotMatter) {
  const auto model = load_model();
  CpuEngine engine(*model);
  const std::vector<EncodedItem> items = make_items(*model);
  const auto run = [&](int threads) {
    set_thread_count(threads);
    ScoreStatistics statistics;
    return score_items(engine, items, statistics, [](int64_t) {}).value();
  };
  const auto one = run(1), three = run(3);
  for (size_t i = 0; i < one.size(); ++i)
    for (size_t choice = 0; choice < one[i].size(); ++choice)
      EXPECT_EQ(one[i][choice].log_likelihood, three[i][choice].log_likelihood);
}

TEST(ScoreItems, RefuseAnAnswerLongerThanTheModel) {
  const auto model = load_model();
  CpuEngine engine(*model);
  const std::vector<EncodedItem> items = {{{{5}, std::vector<int32_t>(model->config().max_positions + 1, 7)}}};
  ScoreStatistics statistics;
  EXPECT_TRUE(is_failure(score_items(engine, items, statistics, [](int64_t) {}).status(), StatusKind::invalid_argument,
                         "item 1: an answer has"));
}

// Three items. Sums -3, -4 -> 0, right; per character -3/1, -4/4 -> 1; per byte the same but for the second, whose
// answer has 2 characters in 6 bytes: -5/3 and -6/2 -> 0 by characters, -5/3 and -6/6 -> 1 by bytes. Ties: the first.
TEST(CountTask, WorkedByHand) {
  const auto item = [](std::string a, std::string b, int64_t gold) {
    return TaskItem{{{"", "", std::move(a)}, {"", "", std::move(b)}}, gold};
  };
  const std::vector<TaskItem> items = {item("x", "xxxx", 0), item("yyy", "\xe4\xb8\xad\xe5\x9b\xbd", 1),
                                       item("z", "z", 1)};
  const TaskResult result = count_task(
      **find_task("piqa"), items, {{{-3, false}, {-4, false}}, {{-5, false}, {-6, false}}, {{-2, false}, {-2, false}}});
  EXPECT_EQ(result.details[0].best, 0);
  EXPECT_EQ(result.details[0].best_norm, 1);
  EXPECT_EQ(result.details[1].best_norm, 0);
  EXPECT_EQ(result.details[1].best_bytes, 1);
  EXPECT_EQ(result.details[2].best, 0);
  EXPECT_DOUBLE_EQ(result.acc.mean, 1.0 / 3);
  EXPECT_DOUBLE_EQ(result.acc.standard_error, std::sqrt(2.0 / 9 / 2));
  EXPECT_DOUBLE_EQ(result.acc_norm->mean, 0);
  EXPECT_DOUBLE_EQ(result.acc_bytes->mean, 1.0 / 3);
  EXPECT_FALSE(result.perplexity);
}

TEST(CountTask, LastWords) {
  const std::vector<TaskItem> items(4, TaskItem{{{"", "", "x"}}, 0});
  const TaskResult result = count_task(**find_task("lambada"), items, {{{-1, true}}, {{-3, false}}, {{-2, true}}});
  EXPECT_DOUBLE_EQ(result.acc.mean, 2.0 / 3);
  EXPECT_DOUBLE_EQ(result.perplexity->mean, std::exp(2.0));
  EXPECT_FALSE(result.complete());
  EXPECT_EQ(result.items, 3);
  EXPECT_FALSE(result.acc_norm);
}

}  // namespace
}  // namespace esparse

#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/parallel.h"
#include "io/checkpoint.h"

namespace esparse {
namespace {

const std::filesystem::path kFixture =
    std::filesystem::path(ESPARSE_SOURCE_DIR) / "tests/golden/models/llama2-gqa-untied";

std::unique_ptr<Model> load_model() {
  auto checkpoint = open_checkpoint(kFixture);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto model = Model::load(std::move(checkpoint).value());
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

template <typename T>
std::vector<T> read_expected(const char* name) {
  auto store = TensorStore::open_file(kFixture / "expected.safetensors");
  EXPECT_TRUE(store.ok());
  const TensorInfo* tensor = store->find(name);
  std::vector<T> values(tensor->data.size() / sizeof(T));
  std::memcpy(values.data(), tensor->data.data(), tensor->data.size());
  return values;
}

// From the logits that transformers computed, in double: mean of -log softmax(logits[t])[ids[t + 1]].
double golden_nll(const std::vector<float>& logits, const std::vector<int32_t>& ids) {
  const size_t vocab = logits.size() / ids.size();
  double total = 0;
  for (size_t t = 0; t + 1 < ids.size(); ++t) {
    double sum = 0;
    for (size_t v = 0; v < vocab; ++v) sum += std::exp(static_cast<double>(logits[t * vocab + v]));
    total += std::log(sum) - logits[t * vocab + ids[t + 1]];
  }
  return total / static_cast<double>(ids.size() - 1);
}

TEST(Perplexity, AgreesWithTheGoldenLogits) {
  const auto model = load_model();
  const auto ids = read_expected<int32_t>("input_ids");
  const auto measured = measure_perplexity(*model, ids, {.context = static_cast<int64_t>(ids.size())});
  ASSERT_TRUE(measured.ok()) << measured.status().message();
  const double expected = golden_nll(read_expected<float>("logits"), ids);
  EXPECT_NEAR(measured->nll, expected, 1e-4 * expected);
  EXPECT_NEAR(measured->perplexity, std::exp(measured->nll), 1e-9 * measured->perplexity);
  EXPECT_EQ(measured->tokens, static_cast<int64_t>(ids.size()) - 1);
  EXPECT_EQ(measured->windows, 1);
}

// Windows do not see each other, and the incomplete last one is dropped.
TEST(Perplexity, IsTheMeanOverIndependentWindows) {
  const auto model = load_model();
  const auto ids = read_expected<int32_t>("input_ids");
  const int64_t context = 12, windows = static_cast<int64_t>(ids.size()) / context;
  ASSERT_NE(ids.size() % context, 0u);
  double sum = 0;
  for (int64_t w = 0; w < windows; ++w) {
    const auto one = measure_perplexity(*model, std::span(ids).subspan(w * context, context), {.context = context});
    ASSERT_TRUE(one.ok());
    sum += one->nll;
  }
  const auto all = measure_perplexity(*model, ids, {.context = context});
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->windows, windows);
  EXPECT_EQ(all->tokens, windows * (context - 1));
  EXPECT_NEAR(all->nll, sum / static_cast<double>(windows), 1e-12);
  const auto first_two = measure_perplexity(*model, ids, {.context = context, .max_windows = 2});
  ASSERT_TRUE(first_two.ok());
  EXPECT_EQ(first_two->windows, 2);
}

TEST(Perplexity, ThreadCountDoesNotMatter) {
  const auto model = load_model();
  const auto ids = read_expected<int32_t>("input_ids");
  set_thread_count(1);
  const auto one = measure_perplexity(*model, ids, {.context = 20});
  set_thread_count(3);
  const auto three = measure_perplexity(*model, ids, {.context = 20});
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_EQ(one->nll, three->nll);
}

TEST(Perplexity, RefusesWhatItCannotMeasure) {
  const auto model = load_model();
  const std::vector<int32_t> ids = {1, 2, 3, 4};
  EXPECT_FALSE(measure_perplexity(*model, ids, {.context = 1}).ok());
  EXPECT_FALSE(measure_perplexity(*model, ids, {.context = model->config().max_positions + 1}).ok());
  EXPECT_FALSE(measure_perplexity(*model, std::span(ids).first(1), {.context = 4}).ok());
  const std::vector<int32_t> foreign = {1, 2, 100000, 4};
  const auto refused = measure_perplexity(*model, foreign, {.context = 4});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("100000"), std::string::npos);
}

}  // namespace
}  // namespace esparse

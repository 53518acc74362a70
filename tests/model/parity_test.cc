// Every golden checkpoint (made with transformers, see tools/golden) must give the same logits and the same greedy
// text.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "io/checkpoint.h"
#include "model/model.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models";

// f32 against f32 in another order of summation; the issue is the model, not the rounding.
constexpr float kRelativeToLargestLogit = 1e-4f;

std::vector<std::string> fixture_names() {
  std::vector<std::string> names;
  if (fs::exists(kFixtures))
    for (const auto& entry : fs::directory_iterator(kFixtures))
      if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<int32_t> read_ids(const TensorStore& store, const std::string& name) {
  const TensorInfo* tensor = store.find(name);
  EXPECT_NE(tensor, nullptr) << name;
  std::vector<int32_t> ids(tensor->element_count());
  std::memcpy(ids.data(), tensor->data.data(), tensor->data.size());
  return ids;
}

struct Fixture {
  std::unique_ptr<Model> model;
  std::vector<int32_t> input_ids, greedy;
  Matrix<float> logits;
};

Fixture open_fixture(const std::string& name) {
  Fixture fixture;
  auto checkpoint = open_checkpoint(kFixtures / name);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto model = Model::load(std::move(checkpoint).value());
  EXPECT_TRUE(model.ok()) << model.status().message();
  fixture.model = std::move(model).value();
  auto expected = TensorStore::open_file(kFixtures / name / "expected.safetensors");
  EXPECT_TRUE(expected.ok()) << expected.status().message();
  fixture.input_ids = read_ids(*expected, "input_ids");
  fixture.greedy = read_ids(*expected, "greedy");
  fixture.logits = Matrix<float>(fixture.input_ids.size(), fixture.model->config().vocab_size);
  const TensorInfo* logits = expected->find("logits");
  EXPECT_EQ(logits->data.size(), fixture.logits.values().size_bytes());
  std::memcpy(fixture.logits.data(), logits->data.data(), logits->data.size());
  return fixture;
}

Matrix<float> all_logits(const Model& model, std::span<const int32_t> ids, KvCache& cache) {
  auto hidden = model.forward(ids, cache);
  EXPECT_TRUE(hidden.ok()) << hidden.status().message();
  Matrix<float> logits(ids.size(), model.config().vocab_size);
  model.logits(hidden->view(), logits.view());
  return logits;
}

// The largest |a - b| over the largest |b|.
float relative_difference(const Matrix<float>& a, const Matrix<float>& b) {
  float difference = 0, largest = 0;
  for (size_t i = 0; i < b.values().size(); ++i) {
    difference = std::max(difference, std::abs(a.values()[i] - b.values()[i]));
    largest = std::max(largest, std::abs(b.values()[i]));
    EXPECT_TRUE(std::isfinite(a.values()[i]));
  }
  EXPECT_GT(largest, 0.0f);
  return difference / largest;
}

int32_t argmax(std::span<const float> values) {
  return static_cast<int32_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

class Parity : public testing::TestWithParam<std::string> {};

TEST_P(Parity, LogitsAgreeWithTransformers) {
  const Fixture fixture = open_fixture(GetParam());
  KvCache cache = fixture.model->make_cache(fixture.input_ids.size());
  const Matrix<float> logits = all_logits(*fixture.model, fixture.input_ids, cache);
  EXPECT_LT(relative_difference(logits, fixture.logits), kRelativeToLargestLogit);
}

TEST_P(Parity, TokenByTokenEqualsAllAtOnce) {
  const Fixture fixture = open_fixture(GetParam());
  KvCache cache = fixture.model->make_cache(fixture.input_ids.size());
  Matrix<float> logits(fixture.logits.rows(), fixture.logits.cols());
  // Uneven steps visit the one-token, few-token and many-token paths with a cache behind them.
  const int64_t steps[] = {1, 3, 1, 9, 2, 1, 7};
  int64_t done = 0;
  for (int64_t turn = 0; done < logits.rows(); ++turn) {
    const int64_t count = std::min(steps[turn % 7], logits.rows() - done);
    const Matrix<float> part = all_logits(*fixture.model, std::span(fixture.input_ids).subspan(done, count), cache);
    std::copy(part.values().begin(), part.values().end(), logits.row(done).begin());
    done += count;
  }
  EXPECT_LT(relative_difference(logits, fixture.logits), kRelativeToLargestLogit);
}

TEST_P(Parity, GreedyContinuationAgrees) {
  const Fixture fixture = open_fixture(GetParam());
  std::vector<int32_t> ids(fixture.input_ids.begin(), fixture.input_ids.begin() + 8);
  KvCache cache = fixture.model->make_cache(ids.size() + fixture.greedy.size());
  std::vector<int32_t> continuation;
  while (continuation.size() < fixture.greedy.size()) {
    const Matrix<float> logits = all_logits(*fixture.model, ids, cache);
    ids = {argmax(logits.row(logits.rows() - 1))};
    continuation.push_back(ids[0]);
  }
  EXPECT_EQ(continuation, fixture.greedy);
}

INSTANTIATE_TEST_SUITE_P(Golden, Parity, testing::ValuesIn(fixture_names()), [](const auto& fixture) {
  std::string name = fixture.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(ParityFixtures, CoverEveryArchitecture) {
  const auto names = fixture_names();
  for (const char* wanted : {"llama1-mha",      "llama2-gqa-untied", "llama-tied",
                             "llama-bias",      "llama-rope-linear", "llama-rope-llama3",
                             "llama-rope-yarn", "llama-headdim",     "mistral-sliding",
                             "qwen2",           "qwen2-sliding",     "qwen3",
                             "seed-oss",        "opt-prenorm",       "opt-postnorm",
                             "opt-proj",        "opt-gelu",          "llama-bf16",
                             "llama-f16",       "llama-sharded"})
    EXPECT_TRUE(std::find(names.begin(), names.end(), wanted) != names.end()) << wanted;
}

}  // namespace
}  // namespace esparse

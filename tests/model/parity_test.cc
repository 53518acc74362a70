// Every golden checkpoint (made with transformers, see tools/golden) must give the same logits and the same greedy
// text.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "io/checkpoint.h"
#include "kernels/bf16_gemm.h"
#include "model/model.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models";

// f32 against f32 in another order of summation; the issue is the model, not the rounding.
constexpr float kRelativeToLargestLogit = 1e-4f;
// Where the cache or the inputs are rounded to 16 bits: 16 times the distance between neighbouring numbers (2^-11 and
// 2^-8), since these small random models pass an error on magnified from layer to layer.
constexpr float kWithF16Cache = 0x1p-7f, kWithBf16 = 0x1p-4f;

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

// Many tokens times dense bf16 weights are computed in bf16 where the processor can (kernels/bf16_gemm.h).
float tolerance_of(const Model& model) {
  return has_bf16_gemm() && model.blocks()[0].q.dtype() == DType::bf16 ? kWithBf16 : kRelativeToLargestLogit;
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
  EXPECT_LT(relative_difference(logits, fixture.logits), tolerance_of(*fixture.model));
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
  EXPECT_LT(relative_difference(logits, fixture.logits), tolerance_of(*fixture.model));
}

// The text in pieces, with detours: from each piece's start another one begins too and is overwritten.
TEST_P(Parity, SegmentsAgreeWithTransformers) {
  const Fixture fixture = open_fixture(GetParam());
  const Model& model = *fixture.model;
  const auto tokens = static_cast<int64_t>(fixture.input_ids.size());
  std::vector<int32_t> batch;
  std::vector<Segment> segments;
  std::vector<int64_t> rows;  // of the batch that hold the text
  const int64_t steps[] = {5, 1, 7, 2};
  for (int64_t done = 0, turn = 0; done < tokens; ++turn) {
    const int64_t count = std::min(steps[turn % 4], tokens - done), detour = std::min<int64_t>(3, tokens - done);
    for (int64_t i = 0; i < detour; ++i) batch.push_back(static_cast<int32_t>((turn + i) % 50));
    segments.push_back({detour, done});
    for (int64_t i = 0; i < count; ++i) {
      rows.push_back(std::ssize(batch));
      batch.push_back(fixture.input_ids[done + i]);
    }
    segments.push_back({count, done});
    done += count;
  }
  KvCache scratch = model.make_scratch(tokens);
  const auto hidden = model.forward_segments(batch, segments, scratch);
  ASSERT_TRUE(hidden.ok()) << hidden.status().message();
  Matrix<float> logits(tokens, model.config().vocab_size);
  for (int64_t t = 0; t < tokens; ++t)
    model.logits(hidden->view().rows_from(rows[t], 1), logits.view().rows_from(t, 1));
  EXPECT_LT(relative_difference(logits, fixture.logits), tolerance_of(model));
}

TEST_P(Parity, SixteenBitCachesStayClose) {
  const Fixture fixture = open_fixture(GetParam());
  for (const auto& [dtype, tolerance] : {std::pair{DType::f16, kWithF16Cache}, {DType::bf16, kWithBf16}}) {
    KvCache cache = fixture.model->make_cache(fixture.input_ids.size(), dtype);
    const Matrix<float> logits = all_logits(*fixture.model, fixture.input_ids, cache);
    EXPECT_LT(relative_difference(logits, fixture.logits), std::max(tolerance, tolerance_of(*fixture.model)))
        << dtype_name(dtype);
  }
}

// With the f16 cache too, which `esparse generate` uses if nothing else is asked for.
TEST_P(Parity, GreedyContinuationAgrees) {
  const Fixture fixture = open_fixture(GetParam());
  for (const DType dtype : {DType::f32, DType::f16}) {
    std::vector<int32_t> ids(fixture.input_ids.begin(), fixture.input_ids.begin() + 8);
    KvCache cache = fixture.model->make_cache(ids.size() + fixture.greedy.size(), dtype);
    std::vector<int32_t> continuation;
    while (continuation.size() < fixture.greedy.size()) {
      const Matrix<float> logits = all_logits(*fixture.model, ids, cache);
      ids = {argmax(logits.row(logits.rows() - 1))};
      continuation.push_back(ids[0]);
    }
    EXPECT_EQ(continuation, fixture.greedy) << dtype_name(dtype);
  }
}

// Every linear of the blocks packed 2:4; arranged, the model computes the same up to the order of additions.
TEST(ArrangeForRunning, LeavesTheLogits) {
  const Fixture fixture = open_fixture("llama-bf16");
  for (DecoderBlock& block : fixture.model->blocks())
    for (const InputSite site : kInputSites)
      for (LinearLayer* layer : block.linears_at(site)) {
        Matrix<float> weight = layer->weight_as_f32();
        for (size_t i = 0; i < weight.values().size(); ++i)
          if (i % 4 == i / 4 % 4 || i % 4 == (i / 4 + 1) % 4) weight.values()[i] = 0.0f;
        std::vector<std::byte> bytes(static_cast<size_t>(layer->weight_bytes()));
        convert_from_f32(layer->dtype(), weight.values(), bytes.data());
        layer->set_packed(pack_nm({2, 4}, layer->dtype(), bytes, layer->out_features(), layer->in_features()).value());
      }
  const auto logits = [&] {
    KvCache cache = fixture.model->make_cache(fixture.input_ids.size());
    return all_logits(*fixture.model, fixture.input_ids, cache);
  };
  const Matrix<float> before = logits();
  fixture.model->arrange_for_running();
  EXPECT_TRUE(std::holds_alternative<NmTilesView>(fixture.model->blocks()[0].q.weight()));
  // 24 outputs would be padded to 32: not worth it.
  EXPECT_TRUE(std::holds_alternative<NmView>(fixture.model->blocks()[0].gate.weight()));
  EXPECT_LT(relative_difference(logits(), before), tolerance_of(*fixture.model));
}

// The same with part of every weight dense, its rows or its columns in turn.
TEST(ArrangeForRunning, LeavesTheLogitsOfSpense) {
  const Fixture fixture = open_fixture("llama-bf16");
  bool rows = false;
  for (DecoderBlock& block : fixture.model->blocks())
    for (const InputSite site : kInputSites)
      for (LinearLayer* layer : block.linears_at(site)) {
        const SpenseLayout layout{(rows = !rows) ? SpenseSplit::out : SpenseSplit::in, {2, 4}, 8};
        const int64_t sparse_rows = layer->out_features() - (rows ? layout.dense : 0);
        const int64_t sparse_columns = layer->in_features() - (rows ? 0 : layout.dense);
        Matrix<float> weight = layer->weight_as_f32();
        for (int64_t i = 0; i < sparse_rows; ++i)
          for (int64_t j = 0; j < sparse_columns; ++j)
            if (j % 4 == j / 4 % 4 || j % 4 == (j / 4 + 1) % 4) weight(i, j) = 0.0f;
        std::vector<std::byte> bytes(static_cast<size_t>(layer->weight_bytes()));
        convert_from_f32(layer->dtype(), weight.values(), bytes.data());
        layer->set_packed(
            pack_spense(layout, layer->dtype(), bytes, layer->out_features(), layer->in_features()).value());
        const Matrix<float> back = layer->weight_as_f32();
        EXPECT_TRUE(std::ranges::equal(back.values(), weight.values())) << layer->name();
      }
  const auto logits = [&] {
    KvCache cache = fixture.model->make_cache(fixture.input_ids.size());
    return all_logits(*fixture.model, fixture.input_ids, cache);
  };
  const Matrix<float> before = logits();
  fixture.model->arrange_for_running();
  int64_t tiled = 0;
  for (DecoderBlock& block : fixture.model->blocks())
    for (const InputSite site : kInputSites)
      for (LinearLayer* layer : block.linears_at(site))
        tiled += std::holds_alternative<NmTilesView>(std::get<SpenseView>(layer->weight()).sparse);
  EXPECT_GT(tiled, 0);
  EXPECT_LT(relative_difference(logits(), before), tolerance_of(*fixture.model));
}

INSTANTIATE_TEST_SUITE_P(Golden, Parity, testing::ValuesIn(fixture_names()), [](const auto& fixture) {
  std::string name = fixture.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// Writers that store a shared tensor once may keep either name.
TEST(TiedEmbeddings, MayBeCalledLmHead) {
  const TempDir directory;
  fs::copy_file(kFixtures / "llama-tied/config.json", directory / "config.json");
  std::string file = read_text(kFixtures / "llama-tied/model.safetensors");
  const std::string name = "\"model.embed_tokens.weight\":", other = "\"lm_head.weight\":";
  const size_t at = file.find(name);
  ASSERT_NE(at, std::string::npos);
  file.replace(at, name.size(), other + std::string(name.size() - other.size(), ' '));  // the header keeps its length
  write_text(directory / "model.safetensors", file);
  const Fixture fixture = open_fixture("llama-tied");
  auto checkpoint = open_checkpoint(directory.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const auto model = Model::load(std::move(checkpoint).value());
  ASSERT_TRUE(model.ok()) << model.status().message();
  KvCache cache = (*model)->make_cache(fixture.input_ids.size());
  const Matrix<float> logits = all_logits(**model, fixture.input_ids, cache);
  EXPECT_LT(relative_difference(logits, fixture.logits), kRelativeToLargestLogit);
}

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

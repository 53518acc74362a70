// A llama2.c file made from a golden checkpoint must compute what the checkpoint does: this pins the order of tensors
// and the reordering of query and key rows between the two rotary conventions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "model/model.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

class Llama2cWriter {
 public:
  Llama2cWriter(const Model& model, const fs::path& path) : model_(model), file_(path, std::ios::binary) {}

  void write() {
    const ModelConfig& c = model_.config();
    const auto vocab = static_cast<int32_t>(c.vocab_size);
    const int32_t header[] = {static_cast<int32_t>(c.hidden_size),  static_cast<int32_t>(c.intermediate_size),
                              static_cast<int32_t>(c.num_layers),   static_cast<int32_t>(c.num_heads),
                              static_cast<int32_t>(c.num_kv_heads), c.tie_embeddings ? vocab : -vocab,
                              static_cast<int32_t>(c.max_positions)};
    file_.write(reinterpret_cast<const char*>(header), sizeof(header));
    tensor("model.embed_tokens.weight");
    per_layer("input_layernorm");
    per_layer("self_attn.q_proj", true);
    per_layer("self_attn.k_proj", true);
    per_layer("self_attn.v_proj");
    per_layer("self_attn.o_proj");
    per_layer("post_attention_layernorm");
    per_layer("mlp.gate_proj");
    per_layer("mlp.down_proj");
    per_layer("mlp.up_proj");
    tensor("model.norm.weight");
    const std::vector<float> frequencies(c.max_positions * c.head_dim, 0.0f);  // freq_cis_real and freq_cis_imag
    file_.write(reinterpret_cast<const char*>(frequencies.data()),
                static_cast<std::streamsize>(frequencies.size() * sizeof(float)));
    if (!c.tie_embeddings) tensor("lm_head.weight");
  }

 private:
  void tensor(const std::string& name, bool interleave = false) {
    const TensorInfo* info = model_.checkpoint().tensors.find(name);
    ASSERT_NE(info, nullptr) << name;
    ASSERT_EQ(info->dtype, DType::f32);
    const auto* bytes = reinterpret_cast<const char*>(info->data.data());
    if (!interleave) {
      file_.write(bytes, static_cast<std::streamsize>(info->data.size()));
      return;
    }
    // llama2.c rotates rows 2i and 2i + 1 of a head; Hugging Face rows i and i + head_dim / 2.
    const int64_t rows = info->shape[0], row_bytes = info->shape[1] * 4, width = model_.config().head_dim;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t within = row % width, source = row - within + within / 2 + (within % 2) * (width / 2);
      file_.write(bytes + source * row_bytes, static_cast<std::streamsize>(row_bytes));
    }
  }
  void per_layer(const std::string& part, bool interleave = false) {
    for (int64_t layer = 0; layer < model_.config().num_layers; ++layer)
      tensor("model.layers." + std::to_string(layer) + "." + part + ".weight", interleave);
  }

  const Model& model_;
  std::ofstream file_;
};

std::unique_ptr<Model> load(const fs::path& path) {
  auto checkpoint = open_checkpoint(path);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto model = Model::load(std::move(checkpoint).value());
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

Matrix<float> logits_of(const Model& model) {
  const std::vector<int32_t> ids = {1, 5, 9, 30, 2, 2, 77, 14, 60, 3};
  KvCache cache = model.make_cache(ids.size());
  auto hidden = model.forward(ids, cache);
  EXPECT_TRUE(hidden.ok()) << hidden.status().message();
  Matrix<float> logits(ids.size(), model.config().vocab_size);
  model.logits(hidden->view(), logits.view());
  return logits;
}

class Llama2c : public testing::TestWithParam<const char*> {};

TEST_P(Llama2c, ComputesWhatTheCheckpointDoes) {
  const auto original = load(fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models" / GetParam());
  const TempDir directory;
  Llama2cWriter(*original, directory.path() / "model.bin").write();
  const auto converted = load(directory.path() / "model.bin");
  // llama2.c fixes rope_theta 10000 and eps 1e-5; the fixtures chosen here have the same or an eps that hardly differs.
  const auto expected = logits_of(*original), got = logits_of(*converted);
  float largest = 0;
  for (float value : expected.values()) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < got.values().size(); ++i)
    ASSERT_NEAR(got.values()[i], expected.values()[i], 2e-3f * largest) << i;
}

INSTANTIATE_TEST_SUITE_P(Golden, Llama2c, testing::Values("llama1-mha", "llama-tied"), [](const auto& instance) {
  std::string name = instance.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace esparse

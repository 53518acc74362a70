// Models for the tests of the GPU's engine, and how near two engines are.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/gpu_engine.h"
#include "io/checkpoint.h"
#include "io/safetensors_writer.h"
#include "kernels/cuda/test_backend.h"
#include "model/cpu_engine.h"
#include "support/temp_dir.h"

namespace esparse {

inline const std::filesystem::path kGoldenModels = std::filesystem::path(ESPARSE_SOURCE_DIR) / "tests/golden/models";

inline std::unique_ptr<Model> load_model(const std::filesystem::path& path) {
  auto checkpoint = open_checkpoint(path);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto model = Model::load(std::move(checkpoint).value());
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

inline std::vector<int32_t> golden_ids(const std::string& name, const char* tensor_name) {
  auto store = TensorStore::open_file(kGoldenModels / name / "expected.safetensors");
  EXPECT_TRUE(store.ok());
  const TensorInfo* tensor = store->find(tensor_name);
  std::vector<int32_t> ids(static_cast<size_t>(tensor->element_count()));
  std::memcpy(ids.data(), tensor->data.data(), tensor->data.size());
  return ids;
}

inline std::unique_ptr<GpuEngine> gpu_engine(const Model& model, int64_t max_tokens = 2048) {
  auto device = Device::open(cuda::test_backend());
  EXPECT_TRUE(device.ok());
  auto engine = GpuEngine::create(std::move(device).value(), model, {.max_tokens = max_tokens});
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return std::move(engine).value();
}

// A LLaMA of random weights whose heads have a size that the tensor cores take.
struct RandomModel {
  std::string type = "llama";
  std::string dtype = "bfloat16";
  int64_t hidden = 64, heads = 2, kv_heads = 1, head_dim = 64, ffn = 96, layers = 2, vocab = 80, window = 0;
  bool tied = false;
};

inline void write_random_model(const RandomModel& m, const std::filesystem::path& directory) {
  const DType dtype = m.dtype == "float16" ? DType::f16 : DType::bf16;
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes = {
      {"model.embed_tokens.weight", {m.vocab, m.hidden}}, {"model.norm.weight", {m.hidden}}};
  if (!m.tied) shapes.push_back({"lm_head.weight", {m.vocab, m.hidden}});
  const int64_t q = m.heads * m.head_dim, kv = m.kv_heads * m.head_dim;
  for (int64_t layer = 0; layer < m.layers; ++layer) {
    const std::string block = "model.layers." + std::to_string(layer) + ".";
    shapes.insert(shapes.end(), {{block + "input_layernorm.weight", {m.hidden}},
                                 {block + "post_attention_layernorm.weight", {m.hidden}},
                                 {block + "self_attn.q_proj.weight", {q, m.hidden}},
                                 {block + "self_attn.k_proj.weight", {kv, m.hidden}},
                                 {block + "self_attn.v_proj.weight", {kv, m.hidden}},
                                 {block + "self_attn.o_proj.weight", {m.hidden, q}},
                                 {block + "mlp.gate_proj.weight", {m.ffn, m.hidden}},
                                 {block + "mlp.up_proj.weight", {m.ffn, m.hidden}},
                                 {block + "mlp.down_proj.weight", {m.hidden, m.ffn}}});
    if (m.type == "qwen3")
      shapes.insert(shapes.end(), {{block + "self_attn.q_norm.weight", {m.head_dim}},
                                   {block + "self_attn.k_norm.weight", {m.head_dim}}});
  }
  std::mt19937 random(17);
  std::normal_distribution<float> normal;
  std::vector<std::vector<std::byte>> bytes;
  std::vector<TensorInfo> tensors;
  for (const auto& [name, shape] : shapes) {
    const bool norm = shape.size() == 1;
    std::vector<float> values(static_cast<size_t>(norm ? shape[0] : shape[0] * shape[1]));
    const float spread = norm ? 0.1f : 1.5f / std::sqrt(static_cast<float>(shape.back()));
    for (float& value : values) value = (norm ? 1.0f : 0.0f) + spread * normal(random);
    bytes.emplace_back(values.size() * static_cast<size_t>(dtype_bytes(dtype)));
    convert_from_f32(dtype, values, bytes.back().data());
    tensors.push_back({name, dtype, shape, bytes.back()});
  }
  ASSERT_TRUE(write_safetensors(directory / "model.safetensors", tensors, {}).ok());
  const Json config = {{"model_type", m.type},
                       {"vocab_size", m.vocab},
                       {"hidden_size", m.hidden},
                       {"intermediate_size", m.ffn},
                       {"num_hidden_layers", m.layers},
                       {"num_attention_heads", m.heads},
                       {"num_key_value_heads", m.kv_heads},
                       {"head_dim", m.head_dim},
                       {"max_position_embeddings", 2048},
                       {"tie_word_embeddings", m.tied},
                       {"sliding_window", m.window > 0 ? Json(m.window) : Json()},
                       {"torch_dtype", m.dtype}};
  write_text(directory / "config.json", config.dump());
}

inline Matrix<float> last_pass(Engine& engine, Sequence& sequence, int64_t rows) {
  Matrix<float> logits(rows, engine.config().vocab_size);
  const Status status = engine.logits(0, sequence, logits.view());
  EXPECT_TRUE(status.ok()) << status.message();
  return logits;
}

inline std::unique_ptr<Sequence> make_sequence(Engine& engine, int64_t capacity, std::optional<DType> kv = {}) {
  auto sequence = engine.make_sequence({.capacity = capacity, .kv_dtype = kv});
  EXPECT_TRUE(sequence.ok()) << sequence.status().message();
  return std::move(sequence).value();
}

// Logits [tokens, vocab] of a text that is read in parts of these sizes, again and again.
inline Matrix<float> logits_in_parts(Engine& engine, std::span<const int32_t> ids, const std::vector<int64_t>& parts,
                                     std::optional<DType> kv = {}) {
  const auto sequence = make_sequence(engine, std::ssize(ids), kv);
  Matrix<float> logits(std::ssize(ids), engine.config().vocab_size);
  int64_t done = 0;
  for (size_t turn = 0; done < std::ssize(ids); ++turn) {
    const int64_t count = std::min(parts[turn % parts.size()], std::ssize(ids) - done);
    const LogitsOf wanted = count == 1 ? LogitsOf::last_token : LogitsOf::all_tokens;
    const Status status = engine.forward(ids.subspan(done, count), *sequence, wanted);
    EXPECT_TRUE(status.ok()) << status.message();
    const Matrix<float> part = last_pass(engine, *sequence, count);
    std::ranges::copy(part.values(), logits.row(done).begin());
    done += count;
  }
  return logits;
}

// The largest |a - b| over the largest |b|.
inline float relative_difference(const Matrix<float>& a, const Matrix<float>& b) {
  float difference = 0, largest = 0;
  EXPECT_EQ(a.values().size(), b.values().size());
  for (size_t i = 0; i < b.values().size(); ++i) {
    EXPECT_TRUE(std::isfinite(a.values()[i])) << i;
    difference = std::max(difference, std::abs(a.values()[i] - b.values()[i]));
    largest = std::max(largest, std::abs(b.values()[i]));
  }
  EXPECT_GT(largest, 0.0f);
  return difference / largest;
}

}  // namespace esparse

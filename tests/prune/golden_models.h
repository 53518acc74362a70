// Golden models (tests/golden/models) to be pruned: loading, windows, logits, saving and reading back.
#pragma once

#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/bf16_gemm.h"
#include "model/model.h"
#include "prune/model_writer.h"
#include "prune/recipe.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {

namespace fs = std::filesystem;

inline constexpr int64_t kTokens = 24;

inline std::unique_ptr<Model> load(const fs::path& directory) {
  auto checkpoint = open_checkpoint(directory);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto model = Model::load(std::move(checkpoint).value());
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

inline std::unique_ptr<Model> load_golden(const std::string& name) {
  return load(fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models" / name);
}

inline std::vector<std::vector<int32_t>> random_windows(const Model& model, int64_t samples, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::vector<int32_t>> windows(samples);
  for (auto& window : windows)
    for (int64_t t = 0; t < kTokens; ++t) window.push_back(static_cast<int32_t>(random() % model.config().vocab_size));
  return windows;
}

inline Matrix<float> logits_of(const Model& model, const std::vector<int32_t>& ids) {
  KvCache cache = model.make_cache(ids.size());
  auto hidden = model.forward(ids, cache);
  EXPECT_TRUE(hidden.ok()) << hidden.status().message();
  Matrix<float> logits(ids.size(), model.config().vocab_size);
  model.logits(hidden->view(), logits.view());
  return logits;
}

inline float largest_difference(const Matrix<float>& a, const Matrix<float>& b) {
  float largest = 0, scale = 0;
  for (size_t i = 0; i < a.values().size(); ++i) {
    largest = std::max(largest, std::abs(a.values()[i] - b.values()[i]));
    scale = std::max(scale, std::abs(b.values()[i]));
  }
  return largest / scale;
}

inline bool same_bits(const Matrix<float>& a, const Matrix<float>& b) {
  return a.values().size() == b.values().size() && std::memcmp(a.data(), b.data(), a.values().size_bytes()) == 0;
}

inline Recipe make_recipe(std::string_view saliency, std::string_view pattern, std::string_view shuffle) {
  Recipe recipe;
  for (const auto& [name, value] : {std::pair{"saliency", saliency}, {"pattern", pattern}, {"shuffle", shuffle}})
    EXPECT_OK(recipe.set(name, value));
  return recipe;
}

// Written to `directory`/out and read back.
inline std::unique_ptr<Model> save_and_reload(const Model& model, const fs::path& directory) {
  const fs::path out = directory / "out";
  fs::create_directory(out);
  const fs::path tokenizer = directory / "tok96.model";
  write_text(tokenizer, "stands for a tokenizer");
  const Status saved = save_pruned_model(model, tokenizer, Json::object(), out);
  EXPECT_TRUE(saved.ok()) << saved.message();
  EXPECT_TRUE(fs::exists(out / "tokenizer.model"));
  return load(out);
}

// The same weights, none of them packed.
inline void make_dense(Model& model) {
  for (DecoderBlock& block : model.blocks())
    for (InputSite site : kInputSites)
      for (LinearLayer* linear : block.linears_at(site)) {
        const Matrix<float> weight = linear->weight_as_f32();
        std::vector<std::byte> bytes(weight.values().size() * dtype_bytes(linear->dtype()));
        convert_from_f32(linear->dtype(), weight.values(), bytes.data());
        linear->set_dense(std::move(bytes));
      }
}

// Between two orders of the same sums. Where inputs are rounded to bf16, what falls to the other side is off by 2^-7.
inline float rounding_of(const Model& model) {
  return has_bf16_gemm() && model.blocks()[0].q.dtype() == DType::bf16 ? 0x1p-4f : 2e-6f;
}

}  // namespace esparse

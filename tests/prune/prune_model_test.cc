// The pruning driver on whole (tiny) models: orders change nothing, masks are what the solver said, and what is
// written and read back computes the same bits.
#include "prune/prune_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <filesystem>
#include <random>

#include "base/parallel.h"
#include "calibrate/calibration.h"
#include "io/safetensors_writer.h"
#include "kernels/bf16_gemm.h"
#include "prune/channel_orders.h"
#include "prune/layer_problem.h"
#include "prune/model_writer.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTokens = 24;

std::unique_ptr<Model> load(const fs::path& directory) {
  auto checkpoint = open_checkpoint(directory);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto model = Model::load(std::move(checkpoint).value());
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

std::unique_ptr<Model> load_golden(const std::string& name) {
  return load(fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models" / name);
}

std::vector<std::vector<int32_t>> random_windows(const Model& model, int64_t samples, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::vector<int32_t>> windows(samples);
  for (auto& window : windows)
    for (int64_t t = 0; t < kTokens; ++t) window.push_back(static_cast<int32_t>(random() % model.config().vocab_size));
  return windows;
}

Matrix<float> logits_of(const Model& model, const std::vector<int32_t>& ids) {
  KvCache cache = model.make_cache(ids.size());
  auto hidden = model.forward(ids, cache);
  EXPECT_TRUE(hidden.ok()) << hidden.status().message();
  Matrix<float> logits(ids.size(), model.config().vocab_size);
  model.logits(hidden->view(), logits.view());
  return logits;
}

float largest_difference(const Matrix<float>& a, const Matrix<float>& b) {
  float largest = 0, scale = 0;
  for (size_t i = 0; i < a.values().size(); ++i) {
    largest = std::max(largest, std::abs(a.values()[i] - b.values()[i]));
    scale = std::max(scale, std::abs(b.values()[i]));
  }
  return largest / scale;
}

bool same_bits(const Matrix<float>& a, const Matrix<float>& b) {
  return a.values().size() == b.values().size() && std::memcmp(a.data(), b.data(), a.values().size_bytes()) == 0;
}

Recipe make_recipe(std::string_view saliency, std::string_view pattern, std::string_view shuffle) {
  Recipe recipe;
  for (const auto& [name, value] : {std::pair{"saliency", saliency}, {"pattern", pattern}, {"shuffle", shuffle}})
    EXPECT_OK(recipe.set(name, value));
  return recipe;
}

ChannelOrder shuffled(int64_t count, uint64_t seed) {
  ChannelOrder order = identity_order(count);
  std::mt19937_64 random(seed);
  for (int64_t k = count - 1; k > 0; --k) std::swap(order[k], order[random() % (k + 1)]);
  return order;
}

// Arbitrary legal orders: free at three sites, per KV head at `output`.
BlockOrders random_orders(const ModelConfig& config, uint64_t seed) {
  BlockOrders orders;
  orders[static_cast<size_t>(InputSite::attention)] = shuffled(config.hidden_size, seed);
  orders[static_cast<size_t>(InputSite::mlp)] = shuffled(config.hidden_size, seed + 1);
  orders[static_cast<size_t>(InputSite::down)] = shuffled(config.intermediate_size, seed + 2);
  ChannelOrder& output = orders[static_cast<size_t>(InputSite::output)];
  const int64_t shared = config.num_heads / config.num_kv_heads;
  for (int64_t head = 0; head < config.num_heads; ++head)
    for (int32_t channel : shuffled(config.head_dim, seed + 3 + head / shared))
      output.push_back(static_cast<int32_t>(head * config.head_dim + channel));
  return orders;
}

// Written to `directory`/out and read back.
std::unique_ptr<Model> save_and_reload(const Model& model, const fs::path& directory) {
  const fs::path out = directory / "out";
  fs::create_directory(out);
  const fs::path tokenizer = directory / "tok96.model";
  write_text(tokenizer, "stands for a tokenizer");
  const Status saved = save_pruned_model(model, tokenizer, Json::object(), out);
  EXPECT_TRUE(saved.ok()) << saved.message();
  EXPECT_TRUE(fs::exists(out / "tokenizer.model"));
  return load(out);
}

// Between two orders of the same sums. Where inputs are rounded to bf16, what falls to the other side is off by 2^-7.
float rounding_of(const Model& model) {
  return has_bf16_gemm() && model.blocks()[0].q.dtype() == DType::bf16 ? 0x1p-4f : 2e-6f;
}

class PruneModel : public testing::TestWithParam<const char*> {};

TEST_P(PruneModel, PermutedDenseModelGivesTheSameLogits) {
  const auto original = load_golden(GetParam()), permuted = load_golden(GetParam());
  const auto ids = random_windows(*original, 1, 1)[0];
  for (size_t layer = 0; layer < permuted->blocks().size(); ++layer)
    apply_channel_orders(permuted->blocks()[layer], random_orders(permuted->config(), 100 * layer), permuted->config());
  EXPECT_NE(permuted->blocks()[0].mlp_order, identity_order(permuted->config().hidden_size)) << "nothing was permuted";
  EXPECT_LT(largest_difference(logits_of(*permuted, ids), logits_of(*original, ids)), rounding_of(*original));
}

TEST_P(PruneModel, EveryRecipeSurvivesSavingAndLoadingBitForBit) {
  for (const auto& [saliency, shuffle] :
       {std::pair{"magnitude", "none"}, {"wanda", "local"}, {"esparse", "global+local"}})
    for (const char* pattern : {"2:4", "4:8", "5:7", "15:32"}) {  // the last two with tails, or more than in_features
      const auto model = load_golden(GetParam());
      const auto windows = random_windows(*model, 4, 2);
      const auto report = prune_model(*model, make_recipe(saliency, pattern, shuffle), windows);
      ASSERT_TRUE(report.ok()) << report.status().message();
      EXPECT_EQ(report->linears.size(), model->blocks().size() * (model->blocks()[0].has_gate ? 7 : 6));

      const TempDir directory;
      const auto reloaded = save_and_reload(*model, directory.path());
      const auto ids = random_windows(*model, 1, 3)[0];
      EXPECT_TRUE(same_bits(logits_of(*model, ids), logits_of(*reloaded, ids)))
          << saliency << " " << pattern << " " << shuffle;
      EXPECT_TRUE(reloaded->blocks()[0].down.is_packed());
    }
}

// `after` is `before` with zeros, at most ceil(N * width / M) others in a group, and those the largest.
void expect_pruned_by_magnitude(const Matrix<float>& before, const Matrix<float>& after, NmPattern pattern) {
  for (int64_t i = 0; i < before.rows(); ++i)
    for (int64_t group = 0; group < before.cols(); group += pattern.group) {
      const int64_t end = std::min(before.cols(), group + pattern.group);
      int64_t kept = 0;
      float smallest_kept = INFINITY, largest_pruned = 0;
      for (int64_t j = group; j < end; ++j) {
        if (after(i, j) != 0) {
          EXPECT_EQ(after(i, j), before(i, j));
          smallest_kept = std::min(smallest_kept, std::abs(before(i, j)));
          ++kept;
        } else {
          largest_pruned = std::max(largest_pruned, std::abs(before(i, j)));
        }
      }
      ASSERT_LT((kept - 1) * pattern.group, pattern.kept * (end - group));
      EXPECT_LE(largest_pruned, smallest_kept);
    }
}

// Without a shuffle the packed weights are the dense ones with zeros: nothing else may change.
TEST_P(PruneModel, KeptWeightsAreUnchanged) {
  for (const char* pattern : {"2:4", "5:7"}) {
    const auto dense = load_golden(GetParam()), pruned = load_golden(GetParam());
    const Recipe recipe = make_recipe("magnitude", pattern, "none");
    ASSERT_TRUE(prune_model(*pruned, recipe, {}).ok());
    for (size_t layer = 0; layer < dense->blocks().size(); ++layer)
      for (InputSite site : kInputSites)
        for (size_t index = 0; index < dense->blocks()[layer].linears_at(site).size(); ++index)
          expect_pruned_by_magnitude(dense->blocks()[layer].linears_at(site)[index]->weight_as_f32(),
                                     pruned->blocks()[layer].linears_at(site)[index]->weight_as_f32(),
                                     recipe.base.target.pattern);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, PruneModel,
                         testing::Values("llama1-mha", "llama2-gqa-untied", "llama-bias", "llama-bf16", "llama-f16",
                                         "qwen2", "qwen3", "seed-oss", "llama-headdim", "opt-prenorm", "opt-postnorm",
                                         "opt-proj"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(PruneModelDriver, ShuffleKeepsMoreThanNoShuffle) {
  const auto plain = load_golden("llama1-mha"), shuffled_model = load_golden("llama1-mha");
  const auto windows = random_windows(*plain, 4, 2);
  const auto without = prune_model(*plain, make_recipe("wanda", "2:4", "none"), windows);
  const auto with = prune_model(*shuffled_model, make_recipe("wanda", "2:4", "global+local"), windows);
  ASSERT_TRUE(without.ok() && with.ok());
  double mass_without = 0, mass_with = 0;  // the first block alone sees the same inputs in both
  for (size_t i = 0; i < 7; ++i) mass_without += without->linears[i].retained, mass_with += with->linears[i].retained;
  EXPECT_GT(mass_with, mass_without);
}

// Later blocks see what the pruned earlier ones produce: the second block's retained saliency must be that of a solver
// fed by the pruned first block, not by the dense one.
TEST(PruneModelDriver, BlocksAreFedByPrunedOnes) {
  const auto model = load_golden("llama1-mha"), dense = load_golden("llama1-mha");
  const auto windows = random_windows(*model, 4, 5);
  const Recipe recipe = make_recipe("wanda", "2:4", "none");
  const auto report = prune_model(*model, recipe, windows);
  ASSERT_TRUE(report.ok());

  auto retained_of_second_q = [&](const Model& first_block_of) {
    auto calibration = Calibration::begin(first_block_of, windows, {});
    EXPECT_OK(calibration);
    const auto& blocks = first_block_of.blocks();
    EXPECT_OK(calibration->advance(blocks[0], blocks[0]));
    BlockRequest request;
    for (SiteRequest& site : request) site.needs = recipe.base.needs();
    auto statistics = calibration->gather(dense->blocks()[1], dense->blocks()[1], kInputSites, request);
    EXPECT_OK(statistics);
    LayerProblem problem;
    problem.linears.push_back({"q", dense->blocks()[1].q.weight_as_f32(), recipe.base});
    problem.statistics = std::move((*statistics)[static_cast<size_t>(InputSite::attention)]);
    return solve_layer(std::move(problem))->linears[0].retained;
  };
  EXPECT_EQ(report->linears[7].name, "model.layers.1.self_attn.q_proj");
  EXPECT_DOUBLE_EQ(report->linears[7].retained, retained_of_second_q(*model));
  EXPECT_NE(report->linears[7].retained, retained_of_second_q(*dense));
}

TEST(PruneModelDriver, ThreadCountDoesNotMatter) {
  std::vector<Matrix<float>> results;
  for (int threads : {1, 2, 4}) {
    set_thread_count(threads);
    const auto model = load_golden("llama2-gqa-untied");
    ASSERT_TRUE(prune_model(*model, make_recipe("esparse", "2:4", "global+local"), random_windows(*model, 6, 1)).ok());
    results.push_back(model->blocks().back().down.weight_as_f32());
  }
  EXPECT_TRUE(same_bits(results[0], results[1]));
  EXPECT_TRUE(same_bits(results[0], results[2]));
}

// The golden model with only the first `ffn` of its 24 intermediate channels, as a directory.
void write_narrowed(const std::string& golden, int64_t ffn, const fs::path& directory) {
  auto checkpoint = open_checkpoint(fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models" / golden);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  std::deque<std::vector<std::byte>> cut;
  std::vector<TensorInfo> tensors;
  for (auto [name, tensor] : checkpoint->tensors.tensors()) {
    const bool down = name.ends_with("down_proj.weight");
    if (down || name.ends_with("gate_proj.weight") || name.ends_with("up_proj.weight")) {
      const int64_t rows = down ? tensor.shape[0] : ffn, columns = down ? ffn : tensor.shape[1];
      auto& bytes = cut.emplace_back();
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t width = dtype_bytes(tensor.dtype);
        const auto source = tensor.data.subspan(row * tensor.shape[1] * width, columns * width);
        bytes.insert(bytes.end(), source.begin(), source.end());
      }
      tensor.shape = {rows, columns};
      tensor.data = bytes;
    }
    tensors.push_back(tensor);
  }
  fs::create_directory(directory);
  checkpoint->config["intermediate_size"] = ffn;
  write_text(directory / "config.json", checkpoint->config.dump());
  const Status written = write_safetensors(directory / "model.safetensors", tensors, {});
  ASSERT_TRUE(written.ok()) << written.message();
}

// The same weights, none of them packed.
void make_dense(Model& model) {
  for (DecoderBlock& block : model.blocks())
    for (InputSite site : kInputSites)
      for (LinearLayer* linear : block.linears_at(site)) {
        const Matrix<float> weight = linear->weight_as_f32();
        std::vector<std::byte> bytes(weight.values().size() * dtype_bytes(linear->dtype()));
        convert_from_f32(linear->dtype(), weight.values(), bytes.data());
        linear->set_dense(std::move(bytes));
      }
}

// 4:8 on 20 and 21 intermediate channels: the tail of 4 keeps 2, that of 5 keeps ceil(20 / 8) = 3 of every row.
TEST(PruneModelDriver, RaggedInFeaturesSurviveSavingAndLoadingBitForBit) {
  for (const char* golden : {"llama1-mha", "llama-bf16"})
    for (const auto& [ffn, kept] : {std::pair{20, 10}, {21, 11}})
      for (const char* shuffle : {"none", "global+local"}) {
        const TempDir directory;
        write_narrowed(golden, ffn, directory.path() / "dense");
        const auto model = load(directory.path() / "dense");
        const auto windows = random_windows(*model, 4, 2);
        const auto report = prune_model(*model, make_recipe("wanda", "4:8", shuffle), windows);
        ASSERT_TRUE(report.ok()) << report.status().message();
        const PrunedLinear& down = report->linears[6];
        EXPECT_EQ(down.name, "model.layers.0.mlp.down_proj");
        EXPECT_EQ(down.bytes_now, 32 * (kept * dtype_bytes(model->blocks()[0].down.dtype()) + 3));
        EXPECT_GT(down.retained, 0.5);
        EXPECT_LT(down.retained, 1.0);

        const auto reloaded = save_and_reload(*model, directory.path());
        const auto ids = windows[0];
        EXPECT_TRUE(reloaded->blocks()[0].down.is_packed());
        const Matrix<float> logits = logits_of(*model, ids);
        EXPECT_TRUE(same_bits(logits, logits_of(*reloaded, ids))) << golden << " " << ffn << " " << shuffle;

        make_dense(*reloaded);  // packed kernels may round differently, no more
        EXPECT_LT(largest_difference(logits_of(*reloaded, ids), logits), rounding_of(*model)) << golden << " " << ffn;
      }
}

TEST(PruneModelDriver, RefusesWhatItCannotPrune) {
  const auto model = load_golden("llama1-mha");
  ASSERT_TRUE(prune_model(*model, make_recipe("magnitude", "2:4", "none"), {}).ok());
  const auto again = prune_model(*model, make_recipe("magnitude", "2:4", "none"), {});
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.status().message().find("packed already"), std::string::npos);
}

}  // namespace
}  // namespace esparse

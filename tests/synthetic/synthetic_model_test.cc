// Synthetic models, and the memory that loading a model takes.
#include "synthetic/synthetic_model.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "model/model.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

SyntheticShape tiny() { return find_synthetic_shape("tiny").value(); }

TEST(Synthetic, ValuesAreNearlyNormal) {
  const SyntheticTensor tensor{"w", {1000, 1000}, 0.5};
  std::vector<bf16> values(1'000'000);
  fill_synthetic(tensor, 3, 0, values);
  double sum = 0, squares = 0, fourths = 0, neighbours = 0, last = 0;
  for (const bf16 value : values) {
    const double x = to_f32(value) / 0.5;
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
    neighbours += x * last;
    last = x;
  }
  const double n = 1e6;
  EXPECT_NEAR(sum / n, 0, 0.005);               // five standard errors
  EXPECT_NEAR(squares / n, 1, 0.01);            // and bf16's rounding
  EXPECT_NEAR(fourths / n, 3 - 1.2 / 8, 0.05);  // the sum of eight uniform numbers; a normal one has 3
  EXPECT_NEAR(neighbours / n, 0, 0.005);
}

TEST(Synthetic, PiecesAndThreadsGiveTheSameValues) {
  const SyntheticTensor tensor{"w", {300, 1000}, 1};
  std::vector<bf16> whole(300'000), pieces(300'000);
  set_thread_count(1);
  fill_synthetic(tensor, 3, 0, whole);
  set_thread_count(3);
  for (const auto& [first, count] : {std::pair{0, 1}, {1, 99'999}, {100'000, 200'000}})
    fill_synthetic(tensor, 3, first, std::span(pieces).subspan(first, count));
  auto same = [](bf16 a, bf16 b) { return a.bits == b.bits; };
  EXPECT_TRUE(std::equal(whole.begin(), whole.end(), pieces.begin(), same));
  fill_synthetic(tensor, 4, 0, pieces);
  EXPECT_FALSE(std::equal(whole.begin(), whole.end(), pieces.begin(), same)) << "another seed";
  fill_synthetic({"v", {300, 1000}, 1}, 3, 0, pieces);
  EXPECT_FALSE(std::equal(whole.begin(), whole.end(), pieces.begin(), same)) << "another name";
}

TEST(Synthetic, ShapesHaveThePublishedSizes) {
  const std::pair<const char*, int64_t> cases[] = {{"llama-1b", 1'235'814'400},
                                                   {"llama-3b", 3'212'749'824},
                                                   {"llama-7b", 6'738'415'616},
                                                   {"llama-8b", 8'030'261'248}};
  for (const auto& [name, parameters] : cases) {
    const SyntheticShape shape = find_synthetic_shape(name).value();
    int64_t count = 0;
    for (const SyntheticTensor& tensor : synthetic_tensors(shape, shape.blocks)) {
      int64_t elements = 1;
      for (const int64_t dim : tensor.shape) elements *= dim;
      count += elements;
    }
    EXPECT_EQ(count, parameters) << name;
  }
}

TEST(Synthetic, DirectoryLoadsAndIsTheModelInMemory) {
  const TempDir dir;
  const fs::path tokenizer = fs::path(ESPARSE_SOURCE_DIR) / "models/novel-1m";
  ASSERT_OK(write_synthetic_model(tiny(), {.seed = 5, .shard_bytes = 100'000, .tokenizer = tokenizer}, dir / "m"));
  EXPECT_EQ(dir.entries(), std::vector<std::string>{"m"});
  EXPECT_EQ(read_text(dir / "m/tokenizer.model"), read_text(tokenizer / "tokenizer.model"));
  EXPECT_TRUE(fs::exists(dir / "m/model-00002-of-00003.safetensors"));
  auto on_disk = open_checkpoint(dir / "m");
  ASSERT_OK(on_disk);
  auto in_memory = synthetic_checkpoint(tiny(), 2, 5);
  ASSERT_OK(in_memory);
  EXPECT_EQ(on_disk->config, in_memory->config);
  ASSERT_EQ(on_disk->tensors.tensors().size(), in_memory->tensors.tensors().size());
  for (const auto& [name, tensor] : in_memory->tensors.tensors()) {
    const TensorInfo* found = on_disk->tensors.find(name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_TRUE(std::equal(found->data.begin(), found->data.end(), tensor.data.begin(), tensor.data.end())) << name;
  }
  EXPECT_OK(Model::load(std::move(on_disk).value()));
}

TEST(Synthetic, FewerBlocksAreTheFirstOnes) {
  const TempDir dir;
  ASSERT_OK(write_synthetic_model(tiny(), {.blocks = 1}, dir / "m"));
  const auto one = TensorStore::open_directory(dir / "m");
  ASSERT_OK(one);
  const auto all = synthetic_checkpoint(tiny(), 2, 0);
  ASSERT_OK(all);
  EXPECT_EQ(one->find("model.layers.1.mlp.up_proj.weight"), nullptr);
  const TensorInfo *a = one->find("model.layers.0.mlp.down_proj.weight"),
                   *b = all->tensors.find("model.layers.0.mlp.down_proj.weight");
  ASSERT_TRUE(a != nullptr && b != nullptr);
  EXPECT_TRUE(std::equal(a->data.begin(), a->data.end(), b->data.begin(), b->data.end()));
}

TEST(Synthetic, Refusals) {
  const TempDir dir;
  EXPECT_FAILURE(find_synthetic_shape("llama"), StatusKind::invalid_argument, "expected one of tiny, small, llama-1b");
  EXPECT_FAILURE(write_synthetic_model(tiny(), {.blocks = 3}, dir / "m"), StatusKind::invalid_argument,
                 "expected 1 to 2 for tiny, got 3");
  EXPECT_FAILURE(write_synthetic_model(tiny(), {.tokenizer = dir.path()}, dir / "m"), StatusKind::not_found,
                 "found neither");
  EXPECT_TRUE(dir.entries().empty());
}

// VmHWM counts from here on, where the kernel can do that.
bool restart_peak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good();
}

TEST(ModelMemory, LoadingAndReleasingKeepWeightsOutOfMemory) {
  constexpr int64_t kMiB = 1 << 20;
  const TempDir dir;
  SyntheticShape shape = tiny();
  shape.hidden_size = 1024;
  shape.vocab_size = 32768;        // 64 MiB of embedding
  shape.intermediate_size = 8192;  // 48 MiB in a block
  ASSERT_OK(write_synthetic_model(shape, {.blocks = 1}, dir / "m"));
  auto checkpoint = open_checkpoint(dir / "m");
  ASSERT_OK(checkpoint);
  const bool has_peak = restart_peak();
  const int64_t before = current_resident_bytes();
  const auto model = Model::load(std::move(checkpoint).value());
  ASSERT_OK(model);
  EXPECT_LT(current_resident_bytes() - before, 8 * kMiB);
  if (has_peak) {
    EXPECT_LT(peak_resident_bytes() - before, 32 * kMiB);  // a slab of 16 MiB
  }

  const std::vector<int32_t> tokens = {3, 1000, 2047, 5, 17, 9, 100, 42};
  auto run = [&] {
    KvCache cache = (*model)->make_cache(8);
    return (*model)->forward(tokens, cache).value();
  };
  const Matrix<float> first = run();
  const int64_t used = current_resident_bytes();
  (*model)->release_block_pages(0);
  EXPECT_LT(current_resident_bytes(), used - 44 * kMiB);
  const Matrix<float> second = run();
  EXPECT_TRUE(std::equal(first.values().begin(), first.values().end(), second.values().begin()));
}

}  // namespace
}  // namespace esparse

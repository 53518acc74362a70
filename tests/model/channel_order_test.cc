// Channel orders of a checkpoint are checked before the norm follows them.
#include <gtest/gtest.h>

#include <filesystem>

#include "io/safetensors_writer.h"
#include "model/model.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models/llama-tied";

// The golden model with one more tensor, the input order of the first MLP.
Result<std::unique_ptr<Model>> load_with_order(const std::vector<int32_t>& order) {
  const TempDir directory;
  auto store = TensorStore::open_directory(kSource);
  if (!store.ok()) return store.status();
  std::vector<TensorInfo> tensors;
  for (const auto& [name, tensor] : store->tensors()) tensors.push_back(tensor);
  tensors.push_back({"model.layers.0.mlp.input_order", DType::i32, {static_cast<int64_t>(order.size())},
                     std::as_bytes(std::span(order))});
  fs::copy_file(kSource / "config.json", directory.path() / "config.json");
  ESPARSE_RETURN_IF_ERROR(write_safetensors(directory.path() / "model.safetensors", tensors, {}));
  ESPARSE_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(directory.path()));
  return Model::load(std::move(checkpoint));
}

std::vector<int32_t> reversed(int32_t count) {
  std::vector<int32_t> order(count);
  for (int32_t k = 0; k < count; ++k) order[k] = count - 1 - k;
  return order;
}

TEST(ChannelOrder, APermutationIsLoaded) {
  const auto model = load_with_order(reversed(32));
  ASSERT_OK(model);
  EXPECT_EQ((*model)->blocks()[0].mlp_order, reversed(32));
  EXPECT_TRUE((*model)->blocks()[0].attention_order.empty());
}

TEST(ChannelOrder, AnythingElseIsRefusedByName) {
  auto twice = reversed(32), outside = reversed(32), negative = reversed(32);
  twice[5] = twice[6];
  outside[3] = 32;
  negative[31] = -1;
  for (const auto& order : {twice, outside, negative})
    EXPECT_FAILURE(load_with_order(order), StatusKind::corruption, "model.layers.0.mlp.input_order");
  const auto short_order = load_with_order(reversed(31));
  ASSERT_FALSE(short_order.ok());
  EXPECT_NE(short_order.status().message().find("model.layers.0.mlp.input_order"), std::string::npos);
}

}  // namespace
}  // namespace esparse

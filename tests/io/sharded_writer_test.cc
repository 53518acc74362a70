#include "io/sharded_writer.h"

#include <gtest/gtest.h>

#include "io/json.h"
#include "io/safetensors_bytes.h"
#include "support/file_size_limit.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

TEST(ShardName, CountsFromOneInFiveDigits) {
  EXPECT_EQ(shard_name(0, 17), "model-00001-of-00017.safetensors");
  EXPECT_EQ(shard_name(16, 17), "model-00017-of-00017.safetensors");
}

// The shards and the index that transformers wrote.
TEST(ShardedWriter, GivesTheDirectoryThatHuggingFaceGives) {
  const fs::path golden = fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models/llama-sharded";
  const auto source = TensorStore::open_directory(golden);
  ASSERT_OK(source);
  const auto index = read_json(golden / "model.safetensors.index.json");
  ASSERT_OK(index);
  std::vector<std::vector<TensorInfo>> shards(3);
  for (const auto& [name, file] : (*index)["weight_map"].items())
    for (int64_t shard = 0; shard < 3; ++shard)
      if (file == shard_name(shard, 3)) shards[shard].push_back(*source->find(name));

  const TempDir dir;
  ShardedWriter writer(dir.path(), 3, {{"format", "pt"}});
  for (const int64_t shard : {2, 0, 1}) {
    EXPECT_FALSE(writer.has(shard));
    ASSERT_OK(writer.write(shard, shards[shard], &*source));
    EXPECT_TRUE(writer.has(shard));
  }
  ASSERT_OK(writer.finish());
  std::string expected = read_text(golden / "model.safetensors.index.json");
  const std::string newer = "    \"total_parameters\": 17056,\n";  // an addition of transformers 5
  ASSERT_NE(expected.find(newer), std::string::npos);
  expected.erase(expected.find(newer), newer.size());
  if (!expected.ends_with('\n')) expected += '\n';
  EXPECT_EQ(read_text(dir / "model.safetensors.index.json"), expected);

  const auto copy = TensorStore::open_directory(dir.path());
  ASSERT_OK(copy);
  ASSERT_EQ(copy->tensors().size(), source->tensors().size());
  for (const auto& [name, tensor] : source->tensors()) {
    const TensorInfo* read = copy->find(name);
    ASSERT_NE(read, nullptr) << name;
    EXPECT_EQ(read->shape, tensor.shape);
    EXPECT_TRUE(std::equal(read->data.begin(), read->data.end(), tensor.data.begin(), tensor.data.end())) << name;
  }
}

class TwoShards : public testing::Test {
 protected:
  TempDir dir_;
  std::vector<std::byte> data_ = to_bytes("abcdef");
  TensorInfo a_{"a", DType::u8, {4}, std::span(data_).first(4)}, b_{"b", DType::u8, {2}, std::span(data_).last(2)};
  ShardedWriter writer_{dir_.path(), 2, {{"k", "v"}}};

  Status write(int64_t shard, const std::vector<TensorInfo>& tensors) { return writer_.write(shard, tensors); }
};

TEST_F(TwoShards, AnotherRunGoesOnFromTheFirst) {
  ASSERT_OK(write(0, {a_}));
  ShardedWriter next(dir_.path(), 2, {{"k", "v"}});
  EXPECT_FALSE(next.has(0));
  ASSERT_OK(next.adopt(0));
  EXPECT_FAILURE(next.adopt(1), StatusKind::not_found, shard_name(1, 2));
  EXPECT_FALSE(next.has(1));
  ASSERT_OK(next.write(1, std::vector{b_}));
  ASSERT_OK(next.finish());
  const auto store = TensorStore::open_directory(dir_.path());
  ASSERT_OK(store);
  EXPECT_EQ(store->tensors().size(), 2u);
  EXPECT_NE(read_text(dir_ / "model.safetensors.index.json").find("\"total_size\": 6\n"), std::string::npos);
}

TEST_F(TwoShards, AdoptRefusesEveryPrefixAndForeignMetadata) {
  ASSERT_OK(write(0, {a_}));
  const fs::path path = writer_.path(0);
  const std::string whole = read_text(path);
  for (size_t size = 0; size < whole.size(); ++size) {
    write_text(path, whole.substr(0, size));
    ShardedWriter next(dir_.path(), 2, {{"k", "v"}});
    EXPECT_FAILURE(next.adopt(0), StatusKind::corruption, path.string()) << size;
    EXPECT_FALSE(next.has(0));
  }
  write_text(path, whole + "x");
  ShardedWriter longer(dir_.path(), 2, {{"k", "v"}});
  EXPECT_FAILURE(longer.adopt(0), StatusKind::corruption, "cover 4 of 5 data bytes");
  write_text(path, whole);
  ShardedWriter other(dir_.path(), 2, {{"k", "other"}});
  EXPECT_FAILURE(other.adopt(0), StatusKind::invalid_argument, "its metadata is not that of this run");
}

TEST_F(TwoShards, RefusesATensorInTwoShardsAndAnEmptyShard) {
  ASSERT_OK(write(0, {a_}));
  EXPECT_FAILURE(write(1, {b_, a_}), StatusKind::invalid_argument, "tensor \"a\" stands in model-00001-of-00002");
  EXPECT_FAILURE(write(1, {}), StatusKind::invalid_argument, "got none");
  EXPECT_FALSE(writer_.has(1));
  ASSERT_OK(write(0, {b_}));  // instead of the first
  ASSERT_OK(write(1, {a_}));
}

TEST_F(TwoShards, TheIndexComesLast) {
  ASSERT_OK(write(1, {b_}));
  EXPECT_FAILURE(writer_.finish(), StatusKind::internal, shard_name(0, 2) + ": the shard has not been written");
  EXPECT_FALSE(fs::exists(dir_ / "model.safetensors.index.json"));
}

TEST_F(TwoShards, AFullDiskLeavesTheShardMissing) {
  const std::vector<std::byte> large(100'000);
  Status status;
  {
    const FileSizeLimit limit(50'000);
    status = write(0, {{"large", DType::u8, {100'000}, large}});
  }
  EXPECT_FAILURE(status, StatusKind::io, shard_name(0, 2) + ": cannot write");
  EXPECT_FALSE(writer_.has(0));
  EXPECT_TRUE(dir_.entries().empty());
  ASSERT_OK(write(1, {{"large", DType::u8, {100'000}, large}}));  // the name is free again
}

}  // namespace
}  // namespace esparse

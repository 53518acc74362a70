#include "io/tensor_store.h"

#include <gtest/gtest.h>

#include "io/safetensors_bytes.h"
#include "io/safetensors_writer.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"
#include "support/unprivileged.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndex = "model.safetensors.index.json";

// One U8 tensor of one byte per name.
void write_shard(const fs::path& path, const std::vector<std::string>& names,
                 const std::map<std::string, std::string>& metadata = {}) {
  std::vector<std::byte> bytes(names.size());
  std::vector<TensorInfo> tensors;
  for (size_t i = 0; i < names.size(); ++i) {
    bytes[i] = static_cast<std::byte>(names[i][0]);
    tensors.push_back({names[i], DType::u8, {1}, std::span(bytes).subspan(i, 1)});
  }
  ASSERT_OK(write_safetensors(path, tensors, metadata));
}

// "a" and "b" in the first shard, "c" in the second.
void write_two_shards(const TempDir& dir) {
  write_shard(dir / "m-1.safetensors", {"a", "b"}, {{"format", "pt"}, {"shard", "1"}});
  write_shard(dir / "m-2.safetensors", {"c"}, {{"format", "pt"}, {"shard", "2"}});
}

Result<TensorStore> open_with_index(const TempDir& dir, const std::string& weight_map) {
  write_text(dir / kIndex, R"({"metadata":{"total_size":3},"weight_map":)" + weight_map + "}");
  return TensorStore::open_directory(dir.path());
}

TEST(TensorStore, OpensSingleFile) {
  const TempDir dir;
  write_shard(dir / "model.safetensors", {"a", "b"}, {{"format", "pt"}});
  const auto store = TensorStore::open_directory(dir.path());
  ASSERT_OK(store);
  EXPECT_EQ(store->tensors().size(), 2u);
  EXPECT_EQ(store->metadata().at("format"), "pt");
  EXPECT_EQ(store->file_bytes(), static_cast<int64_t>(fs::file_size(dir / "model.safetensors")));
  EXPECT_EQ(store->find("nothing"), nullptr);
}

TEST(TensorStore, OpensShardsAndSurvivesMoves) {
  const TempDir dir;
  write_two_shards(dir);
  auto opened = open_with_index(dir, R"({"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"})");
  ASSERT_OK(opened);
  const TensorInfo* before = opened->find("c");
  const TensorStore store = std::move(opened).value();
  ASSERT_EQ(store.tensors().size(), 3u);
  EXPECT_EQ(store.find("c"), before);
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(store.find(name)->data[0], static_cast<std::byte>(name[0]));
  EXPECT_EQ(store.metadata().at("shard"), "1");  // the first shard counts
  EXPECT_EQ(store.file_bytes(),
            static_cast<int64_t>(fs::file_size(dir / "m-1.safetensors") + fs::file_size(dir / "m-2.safetensors")));
}

TEST(TensorStore, FollowsLinksToFiles) {
  const TempDir dir;
  write_shard(dir / "blob", {"a"});
  fs::create_directory(dir / "snapshot");
  fs::create_symlink("../blob", dir / "snapshot/model.safetensors");
  EXPECT_OK(TensorStore::open_directory(dir / "snapshot"));
}

TEST(TensorStore, RefusesTensorThatItsShardLacks) {
  const TempDir dir;
  write_two_shards(dir);
  EXPECT_FAILURE(
      open_with_index(dir,
                      R"({"a":"m-1.safetensors","b":"m-1.safetensors","x":"m-1.safetensors","c":"m-2.safetensors"})"),
      StatusKind::corruption, "tensor \"x\": expected in m-1.safetensors, which lacks it");
}

TEST(TensorStore, RefusesTensorThatIsNotInTheIndex) {
  const TempDir dir;
  write_two_shards(dir);
  EXPECT_FAILURE(open_with_index(dir, R"({"a":"m-1.safetensors","c":"m-2.safetensors"})"), StatusKind::corruption,
                 "tensor \"b\" stands in m-1.safetensors but not in the index");
}

TEST(TensorStore, RefusesTensorInTwoShards) {
  const TempDir dir;
  write_shard(dir / "m-1.safetensors", {"a", "c"});
  write_shard(dir / "m-2.safetensors", {"c"});
  EXPECT_FAILURE(open_with_index(dir, R"({"a":"m-1.safetensors","c":"m-2.safetensors"})"), StatusKind::corruption,
                 "tensor \"c\": expected in m-2.safetensors alone, got it in m-1.safetensors");
}

TEST(TensorStore, RefusesShardNamesThatLeaveTheDirectory) {
  const TempDir dir;
  write_shard(dir / "outside.safetensors", {"a"});
  fs::create_directories(dir / "in/sub");
  write_shard(dir / "in/sub/x.safetensors", {"a"});
  for (const std::string name : {"../outside.safetensors", "/outside.safetensors", "sub/x.safetensors", "..", "",
                                 "a..safetensors", "sub\\\\x.safetensors", "config.json", "a\\u0000.safetensors"}) {
    write_text(dir / "in" / kIndex, R"({"weight_map":{"a":")" + name + R"("}})");
    EXPECT_FAILURE(TensorStore::open_directory(dir / "in"), StatusKind::corruption,
                   "tensor \"a\": expected a plain *.safetensors name as shard")
        << name;
  }
  write_text(dir / "in" / kIndex, R"({"weight_map":{"a":")" + (dir / "outside.safetensors").string() + R"("}})");
  EXPECT_FAILURE(TensorStore::open_directory(dir / "in"), StatusKind::corruption, "expected a plain");
}

TEST(TensorStore, RefusesMissingShard) {
  const TempDir dir;
  write_two_shards(dir);
  EXPECT_FAILURE(open_with_index(dir, R"({"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-3.safetensors"})"),
                 StatusKind::not_found, "m-3.safetensors");
}

TEST(TensorStore, RefusesDamagedShardAndNamesIt) {
  const TempDir dir;
  write_two_shards(dir);
  fs::resize_file(dir / "m-2.safetensors", fs::file_size(dir / "m-2.safetensors") - 1);
  EXPECT_FAILURE(open_with_index(dir, R"({"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"})"),
                 StatusKind::corruption, "m-2.safetensors: tensor \"c\"");
}

TEST(TensorStore, RefusesBadIndex) {
  const TempDir dir;
  write_two_shards(dir);
  for (const char* map : {"[]", "1", "null"}) {
    EXPECT_FAILURE(open_with_index(dir, map), StatusKind::corruption, "weight_map") << map;
  }
  EXPECT_FAILURE(open_with_index(dir, R"({"a":1})"), StatusKind::corruption,
                 "tensor \"a\": expected the name of a shard");
  EXPECT_FAILURE(open_with_index(dir, R"({"a":"m-1.safetensors","a":"m-1.safetensors"})"), StatusKind::corruption,
                 "duplicate key");
  write_text(dir / kIndex, "[]");
  EXPECT_FAILURE(TensorStore::open_directory(dir.path()), StatusKind::corruption, kIndex);
  write_text(dir / kIndex, "{");
  EXPECT_FAILURE(TensorStore::open_directory(dir.path()), StatusKind::corruption, "invalid JSON");
}

TEST(TensorStore, SaysWhatIsMissing) {
  const TempDir dir;
  EXPECT_FAILURE(TensorStore::open_directory(dir.path()), StatusKind::not_found,
                 dir.path().string() + ": expected model.safetensors or model.safetensors.index.json, found neither");
  write_text(dir / "pytorch_model.bin", "x");
  EXPECT_FAILURE(TensorStore::open_directory(dir.path()), StatusKind::not_found, "convert it to safetensors");
  EXPECT_FAILURE(TensorStore::open_file(dir / "none.safetensors"), StatusKind::not_found, "none.safetensors");
}

TEST(TensorStore, UnreadableDirectoryIsAnIoError) {
  const TempDir dir;
  fs::permissions(dir.path(), fs::perms(0755));
  fs::create_directory(dir / "closed");
  write_shard(dir / "closed/model.safetensors", {"a"});
  fs::permissions(dir / "closed", fs::perms(0));
  {
    const Unprivileged scope;
    EXPECT_FAILURE(TensorStore::open_directory(dir / "closed"), StatusKind::io, "Permission denied");
  }
  fs::permissions(dir / "closed", fs::perms(0755));
  EXPECT_OK(TensorStore::open_directory(dir / "closed"));
}

TEST(TensorStore, GetChecksTheShape) {
  TensorStore store;
  ASSERT_OK(store.add_owned("w", DType::f32, {2, 3}, std::vector<std::byte>(24)));
  const auto tensor = store.get("w", {2, 3});
  ASSERT_OK(tensor);
  EXPECT_EQ(tensor->data.size(), 24u);
  EXPECT_FAILURE(store.get("w", {3, 2}), StatusKind::corruption, "tensor \"w\": expected shape [3, 2], got [2, 3]");
  EXPECT_FAILURE(store.get("v", {3, 2}), StatusKind::not_found, "tensor \"v\" is missing: expected shape [3, 2]");
}

TEST(TensorStore, AddOwnedRefusesTakenNamesAndWrongSizes) {
  TensorStore store;
  ASSERT_OK(store.add_owned("w", DType::u8, {2}, to_bytes("ab")));
  EXPECT_FAILURE(store.add_owned("w", DType::u8, {1}, to_bytes("c")), StatusKind::invalid_argument, "already");
  EXPECT_FAILURE(store.add_owned("v", DType::u8, {1}, to_bytes("cd")), StatusKind::invalid_argument,
                 "2 bytes do not fit");
  EXPECT_FAILURE(store.add_owned("v", DType::u8, {-1}, {}), StatusKind::invalid_argument, "[-1]");
  EXPECT_EQ(store.tensors().size(), 1u);
  const TensorStore moved = std::move(store);
  EXPECT_EQ(moved.find("w")->data[1], std::byte{'b'});
}

}  // namespace
}  // namespace esparse

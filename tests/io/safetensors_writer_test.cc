#include "io/safetensors_writer.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "io/files.h"
#include "io/safetensors_bytes.h"
#include "io/tensor_store.h"
#include "support/file_size_limit.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

TEST(SafetensorsWriter, RoundTrip) {
  const TempDir dir;
  const auto first = to_bytes("0123456789ab"), second = to_bytes("xyz");
  const std::vector<TensorInfo> tensors = {{"z \"quoted\" \xe2\x82\xac", DType::bf16, {3, 2}, first},
                                           {"a", DType::u8, {3}, second},
                                           {"none", DType::f32, {0, 5}, {}}};
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"esparse", "line\nbreak"}};
  ASSERT_OK(write_safetensors(dir / "m.safetensors", tensors, metadata));
  EXPECT_EQ(dir.entries(), std::vector<std::string>{"m.safetensors"});

  const auto store = TensorStore::open_file(dir / "m.safetensors");
  ASSERT_OK(store);
  EXPECT_EQ(store->metadata(), metadata);
  ASSERT_EQ(store->tensors().size(), tensors.size());
  for (const TensorInfo& tensor : tensors) {
    const TensorInfo* read = store->find(tensor.name);
    ASSERT_NE(read, nullptr);
    EXPECT_EQ(read->dtype, tensor.dtype);
    EXPECT_EQ(read->shape, tensor.shape);
    EXPECT_TRUE(std::equal(read->data.begin(), read->data.end(), tensor.data.begin(), tensor.data.end()));
  }
}

TEST(SafetensorsWriter, BytesAreExactlyThese) {
  const TempDir dir;
  const auto data = to_bytes("abcd");
  const std::vector<TensorInfo> tensors = {{"z", DType::u8, {3}, std::span(data).first(3)},
                                           {"a", DType::u8, {1}, std::span(data).last(1)}};
  ASSERT_OK(write_safetensors(dir / "m.safetensors", tensors, {{"k", "v"}}));
  // Header keys in the order of the data, no spaces but the padding.
  std::string header = R"({"__metadata__":{"k":"v"},"z":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                       R"("a":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(read_text(dir / "m.safetensors"), safetensors_text(header, "abcd"));
}

TEST(SafetensorsWriter, HeaderIsPaddedToEightBytesForEveryNameLength) {
  const TempDir dir;
  for (size_t length = 1; length <= 16; ++length) {
    const std::vector<TensorInfo> tensors = {{std::string(length, 'n'), DType::u8, {0}, {}}};
    ASSERT_OK(write_safetensors(dir / "m.safetensors", tensors, {}));
    const std::string text = read_text(dir / "m.safetensors");  // no data: ends with the header
    EXPECT_EQ(text.size() % 8, 0u);
    EXPECT_LT(text.size() - text.find_last_not_of(' ') - 1, 8u);  // no more padding than it takes
    EXPECT_OK(TensorStore::open_file(dir / "m.safetensors"));
  }
}

TEST(SafetensorsWriter, RefusesWrongInput) {
  const TempDir dir;
  const auto data = to_bytes("abcd");
  auto write = [&](const std::vector<TensorInfo>& tensors, const std::map<std::string, std::string>& metadata = {}) {
    return write_safetensors(dir / "m.safetensors", tensors, metadata);
  };
  const TensorInfo good{"t", DType::u8, {4}, data};
  EXPECT_FAILURE(write({good, good}), StatusKind::invalid_argument, "tensor \"t\": given twice");
  EXPECT_FAILURE(write({{"t", DType::u8, {5}, data}}), StatusKind::invalid_argument,
                 "expected 5 bytes for U8 [5], got 4");
  EXPECT_FAILURE(write({{"t", DType::u8, {-4}, data}}), StatusKind::invalid_argument, "[-4]");
  EXPECT_FAILURE(write({{"t", DType::f64, {int64_t{1} << 62}, data}}), StatusKind::invalid_argument, "too large");
  EXPECT_FAILURE(write({{"__metadata__", DType::u8, {4}, data}}), StatusKind::invalid_argument, "__metadata__");
  EXPECT_FAILURE(write({{"\xff", DType::u8, {4}, data}}), StatusKind::invalid_argument, "expected UTF-8");
  EXPECT_FAILURE(write({good}, {{"k", "\xff"}}), StatusKind::invalid_argument, "expected UTF-8");
  EXPECT_TRUE(dir.entries().empty());
}

TEST(SafetensorsWriter, ReplacesAnOldFile) {
  const TempDir dir;
  write_text(dir / "m.safetensors", "old");
  ASSERT_OK(write_safetensors(dir / "m.safetensors", {}, {}));
  EXPECT_OK(TensorStore::open_file(dir / "m.safetensors"));
}

TEST(SafetensorsWriter, FullDiskLeavesNothingBehindAndTheOldFileWhole) {
  const TempDir dir;
  write_text(dir / "m.safetensors", "old");
  const std::vector<std::byte> data(100'000);
  const std::vector<TensorInfo> tensors = {{"t", DType::u8, {100'000}, data}};
  Status status;
  {
    const FileSizeLimit limit(50'000);
    status = write_safetensors(dir / "m.safetensors", tensors, {});
  }
  EXPECT_FAILURE(status, StatusKind::io, (dir / "m.safetensors").string() + ": cannot write: ");
  EXPECT_EQ(dir.entries(), std::vector<std::string>{"m.safetensors"});
  EXPECT_EQ(read_text(dir / "m.safetensors"), "old");
}

TEST(SafetensorsWriter, RefusesMissingParentAndWhatIsNoFile) {
  const TempDir dir;
  EXPECT_FAILURE(write_safetensors(dir / "none/m.safetensors", {}, {}), StatusKind::not_found, "/none does not exist");
  // A pipe stands for devices: a test that fails as root must not replace one.
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_FAILURE(write_safetensors(dir / "pipe", {}, {}), StatusKind::invalid_argument, "expected a regular file");
  EXPECT_FAILURE(write_safetensors(dir.path(), {}, {}), StatusKind::invalid_argument, "expected a regular file");
}

TEST(SafetensorsStream, PiecesOfAnySizeGiveTheSameBytes) {
  const TempDir dir;
  const auto first = to_bytes("0123456789ab"), second = to_bytes("xyz");
  const std::vector<TensorInfo> tensors = {
      {"w", DType::bf16, {3, 2}, first}, {"none", DType::f32, {0}, {}}, {"u", DType::u8, {3}, second}};
  ASSERT_OK(write_safetensors(dir / "whole", tensors, {{"k", "v"}}));
  std::vector<TensorInfo> layout = tensors;
  for (TensorInfo& tensor : layout) tensor.data = {};
  auto stream = SafetensorsStream::create(dir / "pieces", layout, {{"k", "v"}});
  ASSERT_OK(stream);
  ASSERT_OK(stream->append(std::span(first).first(5)));
  ASSERT_OK(stream->append(std::span(first).subspan(5)));
  EXPECT_FALSE(std::filesystem::exists(dir / "pieces"));
  for (const std::byte& byte : second) ASSERT_OK(stream->append({&byte, 1}));
  ASSERT_OK(stream->commit());
  EXPECT_EQ(read_text(dir / "pieces"), read_text(dir / "whole"));
}

TEST(SafetensorsStream, RefusesTooFewAndTooManyBytes) {
  const TempDir dir;
  const auto data = to_bytes("abcd");
  const std::vector<TensorInfo> layout = {{"t", DType::u8, {3}, {}}};
  {
    auto stream = SafetensorsStream::create(dir / "m", layout, {});
    ASSERT_OK(stream);
    ASSERT_OK(stream->append(std::span(data).first(2)));
    EXPECT_FAILURE(stream->commit(), StatusKind::internal, "1 bytes of tensors are missing");
    EXPECT_FAILURE(stream->append(std::span(data).first(2)), StatusKind::internal,
                   "1 bytes of tensors are missing, got 2");
  }
  EXPECT_TRUE(dir.entries().empty());
}

TEST(WriteFileAtomically, FullDiskLeavesNothingBehind) {
  const TempDir dir;
  Status status;
  {
    const FileSizeLimit limit(1000);
    status = write_file_atomically(dir / "text", std::string(2000, 'x'));
  }
  EXPECT_FAILURE(status, StatusKind::io, "cannot write");
  EXPECT_TRUE(dir.entries().empty());
}

}  // namespace
}  // namespace esparse

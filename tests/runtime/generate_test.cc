#include "runtime/generate.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "io/checkpoint.h"
#include "model/cpu_engine.h"
#include "runtime/session.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;
const fs::path kFixture = fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models/llama2-gqa-untied";

// Id 3 + k stands for the k-th byte pair of "é" alternating with letters, so that streaming meets split sequences:
// even ids are the first byte of e-acute, odd ids the second.
class SplitBytesTokenizer final : public Tokenizer {
 public:
  explicit SplitBytesTokenizer(std::vector<int32_t> prompt) : prompt_(std::move(prompt)) {}
  Result<std::vector<int32_t>> encode(std::string_view text, bool) const override {
    return text.empty() ? std::vector<int32_t>{} : prompt_;
  }
  Result<std::string> decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (size_t i = 0; i < ids.size(); ++i) text += i % 2 == 0 ? "\xc3" : "\xa9";
    return text;
  }
  int64_t vocab_size() const override { return 96; }
  std::optional<int32_t> bos_id() const override { return std::nullopt; }
  std::optional<int32_t> eos_id() const override { return eos_; }
  std::optional<int32_t> eos_;

 private:
  std::vector<int32_t> prompt_;
};

std::vector<int32_t> read_ids(const char* name) {
  auto store = TensorStore::open_file(kFixture / "expected.safetensors");
  const TensorInfo* tensor = store->find(name);
  std::vector<int32_t> ids(tensor->element_count());
  std::memcpy(ids.data(), tensor->data.data(), tensor->data.size());
  return ids;
}

struct Opened {
  Session session;
  std::unique_ptr<CpuEngine> engine;
  SplitBytesTokenizer* tokenizer = nullptr;
};

Opened open(int64_t prompt_tokens) {
  auto ids = read_ids("input_ids");
  ids.resize(prompt_tokens);
  auto tokenizer = std::make_unique<SplitBytesTokenizer>(ids);
  Opened opened;
  opened.tokenizer = tokenizer.get();
  auto model = Model::load(std::move(open_checkpoint(kFixture)).value());
  EXPECT_TRUE(model.ok()) << model.status().message();
  opened.session = {std::move(model).value(), std::move(tokenizer), {}};
  opened.engine = std::make_unique<CpuEngine>(*opened.session.model);
  return opened;
}

GenerateOptions tokens(int64_t count) { return {.max_new_tokens = count, .sampling = {}, .stop_at_eos = false}; }

TEST(Generate, GreedyIdsAreThoseOfTransformers) {
  const Opened opened = open(8);
  std::string streamed;
  auto result = generate(*opened.engine, *opened.session.tokenizer, "x", tokens(64), [&](std::string_view piece) {
    EXPECT_EQ(complete_utf8_prefix(piece), piece.size()) << "a piece ends inside a character";
    streamed += piece;
  });
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->new_ids, read_ids("greedy"));
  EXPECT_EQ(streamed, result->text);
  EXPECT_EQ(result->text.size(), 64u);
  EXPECT_EQ(result->decode_steps, 63);
}

TEST(Generate, StopsAtEos) {
  Opened opened = open(8);
  const auto greedy = read_ids("greedy");
  opened.tokenizer->eos_ = greedy[5];
  size_t first = 0;
  while (greedy[first] != greedy[5]) ++first;
  auto options = tokens(64);
  options.stop_at_eos = true;
  auto result = generate(*opened.engine, *opened.session.tokenizer, "x", options, [](std::string_view) {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->new_ids.size(), first);
}

TEST(Generate, EndsWhereTheModelHasNoPositionLeft) {
  const Opened opened = open(8);
  const int64_t positions = opened.session.model->config().max_positions;
  auto result =
      generate(*opened.engine, *opened.session.tokenizer, "x", tokens(positions + 100), [](std::string_view) {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(static_cast<int64_t>(result->new_ids.size()), positions - 8 + 1);
}

TEST(Generate, RefusesAnEmptyPromptWithoutBosAndNoTokens) {
  const Opened opened = open(8);
  EXPECT_FALSE(generate(*opened.engine, *opened.session.tokenizer, "", tokens(4), [](std::string_view) {}).ok());
  EXPECT_FALSE(generate(*opened.engine, *opened.session.tokenizer, "x", tokens(0), [](std::string_view) {}).ok());
}

TEST(CompleteUtf8Prefix, StopsBeforeAnIncompleteSequence) {
  EXPECT_EQ(complete_utf8_prefix(""), 0u);
  EXPECT_EQ(complete_utf8_prefix("abc"), 3u);
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";  // a, e-acute, euro, grinning face
  const size_t ends[] = {1, 3, 6, 10};
  for (size_t length = 0; length <= text.size(); ++length) {
    size_t expected = 0;
    for (size_t end : ends)
      if (end <= length) expected = end;
    EXPECT_EQ(complete_utf8_prefix(std::string_view(text).substr(0, length)), expected) << length;
  }
  EXPECT_EQ(complete_utf8_prefix("\x80\x80\x80\x80\x80"), 5u) << "stray continuation bytes must not wait for ever";
}

}  // namespace
}  // namespace esparse

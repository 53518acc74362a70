#include "text/sentencepiece_guard.h"

#include <cstring>

#include "text/tokenizer_files.h"

namespace esparse {
namespace {

std::string varint(size_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(0x80 | (value & 0x7F)));
  out.push_back(static_cast<char>(value));
  return out;
}

std::string bytes_field(int number, const std::string& payload) {
  return varint(static_cast<size_t>(number) << 3 | 2) + varint(payload.size()) + payload;
}

// A ModelProto with nothing but the table: its index and 16 bytes of replacements.
std::string model_with_table(const std::vector<uint32_t>& units, uint32_t index_bytes) {
  std::string table(sizeof(uint32_t) * (1 + units.size()), '\0');
  std::memcpy(table.data(), &index_bytes, sizeof(index_bytes));
  std::memcpy(table.data() + sizeof(index_bytes), units.data(), sizeof(uint32_t) * units.size());
  return bytes_field(3, bytes_field(2, table + std::string(16, 'x')));
}
std::string model_with_table(const std::vector<uint32_t>& units) {
  return model_with_table(units, static_cast<uint32_t>(sizeof(uint32_t) * units.size()));
}

void expect_damaged(const std::string& model, std::string_view part) {
  EXPECT_FAILURE(check_normalization_tables(model, "some.model"), StatusKind::corruption, "some.model");
  EXPECT_FAILURE(check_normalization_tables(model, "some.model"), StatusKind::corruption, part);
}

// 256 units whose labels match nothing, except that the root leads to byte 65 there.
std::vector<uint32_t> one_key(uint32_t unit_65) {
  std::vector<uint32_t> units(256, 0x80000000U);
  units[0] = 1;  // no child of its own: label 1 at place 0
  units[65] = unit_65;
  return units;
}
constexpr uint32_t kEnds = 1U << 8;
constexpr uint32_t kOffset = 1U << 10;

TEST(SentencePieceGuard, AcceptsWholeTables) {
  EXPECT_OK(check_normalization_tables("", "some.model"));
  // Byte 65 ends a key whose value is at 65 ^ 66 = 3.
  std::vector<uint32_t> units = one_key(65 | kEnds | 66 * kOffset);
  units[3] = 0x80000000U | 15;
  EXPECT_OK(check_normalization_tables(model_with_table(units), "some.model"));
}

TEST(SentencePieceGuard, RefusesIndicesThatLeaveTheTable) {
  expect_damaged(model_with_table({0}), "leads nowhere");
  expect_damaged(model_with_table(one_key(65 | kEnds | 1024 * kOffset)), "leads nowhere");
  std::vector<uint32_t> units = one_key(65 | kEnds | 66 * kOffset);
  units[3] = 0x80000000U | 16;  // one behind the replacements
  expect_damaged(model_with_table(units), "leads nowhere");
}

TEST(SentencePieceGuard, RefusesIndicesThatComeBack) {
  expect_damaged(model_with_table(one_key(65 | 65 * kOffset)), "leads nowhere");
}

TEST(SentencePieceGuard, RefusesSizesThatDoNotFit) {
  const std::vector<uint32_t> units(256, 0x80000000U);
  for (const uint32_t size : {0U, 3U, 1025U, 1040U, 1044U, 0xFFFFFFFFU}) {
    expect_damaged(model_with_table(units, size), "normalization table");
  }
  expect_damaged(bytes_field(3, bytes_field(2, "abcd")), "too short");
}

TEST(SentencePieceGuard, RefusesFieldsThatAreCutShort) {
  const std::string model = model_with_table(one_key(0));
  for (size_t length = 1; length < model.size(); ++length) expect_damaged(model.substr(0, length), "cut short");
  expect_damaged(std::string(20, '\xFF'), "cut short");
  expect_damaged("\x1b", "cut short");  // a group
}

// Nothing may crash, whatever the library makes of the bytes; the sanitizers watch.
TEST(SentencePieceGuard, DamagedModelsLoadOrAreRefused) {
  const auto golden = std::filesystem::path(ESPARSE_SOURCE_DIR) / "tests/golden/tokenizers";
  const TempDir dir;
  for (const char* name : {"spm-unigram", "spm-bpe"}) {
    const std::string whole = read_text(golden / name / "tokenizer.model");
    for (size_t i = 0; i < 60; ++i) {
      std::string model = whole;
      model[(i * 7919) % model.size()] = static_cast<char>(i * 37);
      model[model.size() - 1 - (i * 31) % 500] = static_cast<char>(i * 101);
      write_text(dir / "tokenizer.model", model);
      const auto tokenizer = load_tokenizer(dir.path());
      if (!tokenizer.ok()) continue;
      const auto ids = (*tokenizer)->encode("Hello w\xC3\xB6rld \xEF\xAC\x81 123", true);
      if (ids.ok()) static_cast<void>((*tokenizer)->decode(*ids).ok());
    }
  }
}

}  // namespace
}  // namespace esparse

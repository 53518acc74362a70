#include "text/json_tokenizer.h"

#include <thread>

#include "text/tokenizer_files.h"
#include "text/unicode.h"

namespace esparse {
namespace {

using Ids = std::vector<int32_t>;

// The document with one member, given as a JSON pointer, replaced.
Json with(const char* pointer, const Json& value) {
  Json document = small_document();
  document[Json::json_pointer(pointer)] = value;
  return document;
}

Json without(const char* parent, const char* key) {
  Json document = small_document();
  document[Json::json_pointer(parent)].erase(key);
  return document;
}

void expect_refused(const Json& document, StatusKind kind, std::string_view part) {
  const auto tokenizer = load_document(document);
  EXPECT_FAILURE(tokenizer, kind, part);
  EXPECT_FAILURE(tokenizer, kind, "tokenizer.json");
}

TEST(JsonTokenizer, MergesByRankAndKnowsItsVocabulary) {
  const auto tokenizer = load_document(small_document());
  ASSERT_OK(tokenizer);
  EXPECT_EQ(ids_of(**tokenizer, "abcab<s>ca"), (Ids{4, 3, 5, 2, 0}));
  EXPECT_EQ((*tokenizer)->vocab_size(), 7);
  EXPECT_EQ((*tokenizer)->bos_id(), std::nullopt);
  EXPECT_EQ((*tokenizer)->eos_id(), std::nullopt);
  EXPECT_EQ(ids_of(**tokenizer, "", true), Ids{});
  EXPECT_EQ(*(*tokenizer)->decode(Ids{4, 5, 0}), "abc<s>a");
}

TEST(JsonTokenizer, RefusesUnknownComponentsByName) {
  for (const char* field : {"/normalizer", "/pre_tokenizer", "/post_processor", "/decoder"}) {
    SCOPED_TRACE(field);
    expect_refused(with(field, {{"type", "Unheard"}}), StatusKind::unsupported, "\"Unheard\"");
    expect_refused(with(field, {{"type", "Unheard"}}), StatusKind::unsupported, field + 1);
    expect_refused(with(field, Json::object()), StatusKind::corruption, "\"type\"");
    expect_refused(with(field, 7), StatusKind::corruption, "expected an object");
  }
  const Json nested = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, {{"type", "BertNormalizer"}}}}};
  expect_refused(with("/normalizer", nested), StatusKind::unsupported,
                 "normalizer.normalizers[1]: type \"BertNormalizer\"");
  expect_refused(with("/model/type", "WordPiece"), StatusKind::unsupported, "WordPiece");
  expect_refused(with("/model/type", "Unigram"), StatusKind::unsupported, "Unigram");
}

TEST(JsonTokenizer, RefusesModelOptionsThatChangeTheResult) {
  expect_refused(with("/model/continuing_subword_prefix", "##"), StatusKind::unsupported, "continuing_subword_prefix");
  expect_refused(with("/model/end_of_word_suffix", "</w>"), StatusKind::unsupported, "end_of_word_suffix");
  expect_refused(with("/model/dropout", 0.1), StatusKind::unsupported, "dropout");
  EXPECT_OK(load_document(with("/model/dropout", nullptr)));
  EXPECT_OK(load_document(with("/model/end_of_word_suffix", "")));
}

TEST(JsonTokenizer, RefusesADamagedVocabulary) {
  expect_refused(without("", "model"), StatusKind::corruption, "model");
  expect_refused(without("/model", "vocab"), StatusKind::corruption, "vocab");
  expect_refused(without("/model", "merges"), StatusKind::corruption, "merges");
  expect_refused(with("/model/vocab", Json::array()), StatusKind::corruption, "vocab");
  expect_refused(with("/model/vocab/b", 0), StatusKind::corruption, "same id 0");
  expect_refused(with("/model/vocab/b", -1), StatusKind::corruption, "got -1");
  expect_refused(with("/model/vocab/b", 1.5), StatusKind::corruption, "got 1.5");
  expect_refused(with("/model/vocab/b", "1"), StatusKind::corruption, "\"b\"");
  expect_refused(with("/model/vocab/b", 4294967296), StatusKind::corruption, "4294967296");
  expect_refused(with("/model/vocab/b", uint64_t{1} << 63), StatusKind::corruption, "\"b\"");
}

TEST(JsonTokenizer, RefusesDamagedMerges) {
  expect_refused(with("/model/merges", {"a b", "a x"}), StatusKind::corruption, "entry 1: token \"x\"");
  expect_refused(with("/model/merges", {"b a"}), StatusKind::corruption, "token \"ba\"");
  expect_refused(with("/model/merges", {"ab"}), StatusKind::corruption, "entry 0");
  expect_refused(with("/model/merges", {"a b c"}), StatusKind::corruption, "entry 0");
  expect_refused(with("/model/merges", Json::array({Json::array({"a"})})), StatusKind::corruption, "entry 0");
  expect_refused(with("/model/merges", Json::array({Json::array({"a", 1})})), StatusKind::corruption, "entry 0");
  expect_refused(with("/model/merges", "a b"), StatusKind::corruption, "expected an array");
  EXPECT_OK(load_document(with("/model/merges", {"#version: 0.2", "a b"})));
}

TEST(JsonTokenizer, RefusesDamagedAddedTokens) {
  expect_refused(with("/added_tokens/0/id", 9), StatusKind::corruption, "expected id 5, got 9");
  expect_refused(with("/added_tokens/0/content", "ab"), StatusKind::corruption, "expected id 3, got 5");
  expect_refused(with("/added_tokens/0/content", ""), StatusKind::corruption, "empty");
  expect_refused(with("/added_tokens/1/content", "<s>"), StatusKind::corruption, "twice");
  expect_refused(with("/added_tokens/0/lstrip", 1), StatusKind::corruption, "lstrip");
  expect_refused(without("/added_tokens/1", "special"), StatusKind::corruption, "added_tokens[1]");
  expect_refused(with("/added_tokens", 3), StatusKind::corruption, "added_tokens");
}

TEST(JsonTokenizer, RefusesIncompleteSteps) {
  const Json split = {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Isolated"}, {"invert", false}};
  EXPECT_OK(load_document(with("/pre_tokenizer", split)));
  for (const char* key : {"pattern", "behavior", "invert"}) {
    Json damaged = split;
    damaged.erase(key);
    expect_refused(with("/pre_tokenizer", damaged), StatusKind::corruption, "pre_tokenizer");
  }
  Json broken = split;
  broken["pattern"] = {{"Regex", "(a"}};
  expect_refused(with("/pre_tokenizer", broken), StatusKind::unsupported, "(a");
  broken["pattern"] = {{"Glob", "a*"}};
  expect_refused(with("/pre_tokenizer", broken), StatusKind::corruption, "pattern");
  broken = split;
  broken["behavior"] = "Doubled";
  expect_refused(with("/pre_tokenizer", broken), StatusKind::unsupported, "Doubled");
  const Json strip = {{"type", "Strip"}, {"content", "ab"}, {"start", 1}, {"stop", 0}};
  expect_refused(with("/decoder", strip), StatusKind::corruption, "one character");
}

TEST(JsonTokenizer, RefusesTemplatesItCannotFollow) {
  Json frame = Json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}})");
  const auto tokenizer = load_document(with("/post_processor", frame));
  ASSERT_OK(tokenizer);
  EXPECT_EQ((*tokenizer)->bos_id(), 5);
  EXPECT_EQ(ids_of(**tokenizer, "a", true), (Ids{5, 0}));
  EXPECT_EQ(ids_of(**tokenizer, "a", false), (Ids{0}));
  EXPECT_EQ(ids_of(**tokenizer, "", true), (Ids{5}));

  frame["special_tokens"]["<s>"]["ids"] = {99};
  expect_refused(with("/post_processor", frame), StatusKind::corruption, "id 99");
  frame["special_tokens"].erase("<s>");
  expect_refused(with("/post_processor", frame), StatusKind::corruption, "\"<s>\"");
  frame["single"] = {{{"Sequence", {{"id", "B"}}}}};
  expect_refused(with("/post_processor", frame), StatusKind::unsupported, "\"B\"");
  frame["single"] = Json::array();
  expect_refused(with("/post_processor", frame), StatusKind::unsupported, "single");
}

// A sequence of processors puts later tokens further out.
TEST(JsonTokenizer, NestsTemplates) {
  const auto frame = [](const char* token, int id, bool behind) {
    Json special = {{"SpecialToken", {{"id", token}, {"type_id", 0}}}};
    Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    return Json{{"type", "TemplateProcessing"},
                {"single", behind ? Json{text, special} : Json{special, text}},
                {"special_tokens", {{token, {{"ids", {id}}}}}}};
  };
  const Json sequence = {{"type", "Sequence"},
                         {"processors", {frame("<s>", 5, false), frame("a", 0, false), frame("</s>", 6, true)}}};
  const auto tokenizer = load_document(with("/post_processor", sequence));
  ASSERT_OK(tokenizer);
  EXPECT_EQ(ids_of(**tokenizer, "b", true), (Ids{0, 5, 1, 6}));
}

TEST(JsonTokenizer, TruncatedFilesAreErrorsAtEveryLength) {
  const std::string text = small_document().dump();
  const TempDir dir;
  for (size_t length = 0; length < text.size(); ++length) {
    write_text(dir / "tokenizer.json", text.substr(0, length));
    EXPECT_FAILURE(load_tokenizer(dir.path()), StatusKind::corruption, "tokenizer.json");
  }
}

TEST(JsonTokenizer, RefusesIdsOutsideOfTheVocabulary) {
  Json document = with("/model/vocab/gap", 9);  // 7 and 8 are holes
  document["added_tokens"] = Json::array();
  const auto tokenizer = load_document(document);
  ASSERT_OK(tokenizer);
  EXPECT_EQ((*tokenizer)->vocab_size(), 10);
  for (const int32_t id : {-1, 7, 8, 10, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()}) {
    EXPECT_FAILURE((*tokenizer)->decode(Ids{0, id}), StatusKind::invalid_argument, std::to_string(id));
  }
}

TEST(JsonTokenizer, UnknownCharacters) {
  EXPECT_EQ(ids_of(**load_document(small_document()), "axb"), (Ids{3}));  // dropped, so a meets b
  Json document = with("/model/unk_token", "c");
  EXPECT_EQ(ids_of(**load_document(document), "axyb"), (Ids{0, 2, 2, 1}));
  document["model"]["fuse_unk"] = true;
  EXPECT_EQ(ids_of(**load_document(document), "axyb"), (Ids{0, 2, 1}));
  document["model"]["unk_token"] = "<absent>";
  const auto tokenizer = load_document(document);
  EXPECT_EQ(ids_of(**tokenizer, "ab"), (Ids{3}));
  EXPECT_FAILURE((*tokenizer)->encode("x", false), StatusKind::corruption, "<absent>");
}

TEST(JsonTokenizer, InvalidUtf8BecomesReplacementCharacters) {
  const auto tokenizer = load_tokenizer(std::filesystem::path(ESPARSE_SOURCE_DIR) / "tests/golden/tokenizers/gpt2");
  ASSERT_OK(tokenizer);
  for (const char* bytes : {"a\xFFz", "\xE2\x82", "\xC0\xAF", "\xED\xA0\x80", "\xF5", "ok\x80\x80"}) {
    EXPECT_EQ(ids_of(**tokenizer, bytes), ids_of(**tokenizer, repair_utf8(bytes)));
  }
  const std::string zero("a\0b", 3);
  EXPECT_EQ(*(*tokenizer)->decode(ids_of(**tokenizer, zero)), zero);
}

TEST(JsonTokenizer, KeepsACharacterThatTheIdsCutShort) {
  const auto tokenizer = load_tokenizer(std::filesystem::path(ESPARSE_SOURCE_DIR) / "tests/golden/tokenizers/gpt2");
  ASSERT_OK(tokenizer);
  const std::string text = "a\xF0\x9F\xA6\x8A";
  const Ids ids = ids_of(**tokenizer, text);
  ASSERT_GE(ids.size(), 3U);  // the emoji is cut into several ids
  size_t shown = 0;
  for (size_t count = 1; count <= ids.size(); ++count) {
    const std::string prefix = *(*tokenizer)->decode(std::span(ids).first(count));
    EXPECT_EQ(prefix, text.substr(0, prefix.size()));
    EXPECT_GT(prefix.size(), shown);
    shown = prefix.size();
  }
  EXPECT_EQ(shown, text.size());
  EXPECT_EQ(*(*tokenizer)->decode(Ids{ids[1], ids[0]}),
            "\xEF\xBF\xBD"
            "a");
}

TEST(JsonTokenizer, EosComesFromTheConfiguration) {
  const TempDir dir;
  write_text(dir / "tokenizer.json", small_document().dump());
  for (const char* eos : {R"("</s>")", R"({"content": "</s>", "lstrip": false})"}) {
    write_text(dir / "tokenizer_config.json", fmt::format(R"({{"eos_token": {}, "add_bos_token": true}})", eos));
    const auto tokenizer = load_tokenizer(dir.path());
    ASSERT_OK(tokenizer);
    EXPECT_EQ((*tokenizer)->eos_id(), 6);
    EXPECT_EQ((*tokenizer)->bos_id(), std::nullopt);  // the post-processor decides
  }
  write_text(dir / "tokenizer_config.json", R"({"eos_token": "<nowhere>"})");
  EXPECT_EQ((*load_tokenizer(dir.path()))->eos_id(), std::nullopt);
  for (const char* damaged :
       {R"({"eos_token": 2})", R"({"eos_token": {"text": "x"}})", "[]", "{", R"({"add_bos_token": 1})"}) {
    write_text(dir / "tokenizer_config.json", damaged);
    EXPECT_FAILURE(load_tokenizer(dir.path()), StatusKind::corruption, "tokenizer_config.json");
  }
}

TEST(JsonTokenizer, OneTokenizerServesSeveralThreads) {
  const auto golden = std::filesystem::path(ESPARSE_SOURCE_DIR) / "tests/golden/tokenizers";
  for (const char* name : {"llama3", "spm-unigram", "spm-bpe"}) {
    const auto tokenizer = load_tokenizer(golden / name);
    ASSERT_OK(tokenizer);
    const std::string text = "The quick brown fox, 123 times; it's \xC3\xA9t\xC3\xA9.\n";
    const Ids expected = ids_of(**tokenizer, text, true);
    std::vector<int> wrong(4);
    {
      std::vector<std::jthread> threads;
      for (int& count : wrong) {
        threads.emplace_back([&count, &tokenizer, &text, &expected] {
          for (int i = 0; i < 200; ++i) {
            const auto ids = (*tokenizer)->encode(text, true);
            count += !ids.ok() || *ids != expected || !(*tokenizer)->decode(*ids).ok();
          }
        });
      }
    }
    EXPECT_EQ(wrong, std::vector<int>(4)) << name;
  }
}

// A million characters in one word: minutes if each merge rescanned the word.
TEST(JsonTokenizer, LongWordsTakeNoQuadraticTime) {
  const auto tokenizer = load_document(small_document());
  std::string text;
  for (int i = 0; i < 350000; ++i) text += "abc";
  EXPECT_EQ(ids_of(**tokenizer, text), Ids(350000, 4));
}

}  // namespace
}  // namespace esparse

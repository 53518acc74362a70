// Which file of a directory is taken, and SentencePiece models whole and damaged.
#include "text/tokenizer_files.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

fs::path golden(const char* name) { return fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/tokenizers" / name; }
std::string spm_bpe() { return read_text(golden("spm-bpe") / "tokenizer.model"); }

TEST(LoadTokenizer, NamesWhatIsMissing) {
  const TempDir dir;
  EXPECT_FAILURE(load_tokenizer(dir / "absent"), StatusKind::not_found, "absent");
  EXPECT_FAILURE(load_tokenizer(dir.path()), StatusKind::not_found, "no tokenizer.json");
  EXPECT_FAILURE(load_tokenizer_file(dir / "absent.json"), StatusKind::not_found, "absent.json");
  EXPECT_FAILURE(load_tokenizer_file(dir / "absent.model"), StatusKind::not_found, "absent.model");
  EXPECT_FAILURE(load_tokenizer_file(dir / "vocab.txt"), StatusKind::unsupported, "vocab.txt");
  write_text(dir / "vocab.json", "{}");
  write_text(dir / "merges.txt", "");
  EXPECT_FAILURE(load_tokenizer(dir.path()), StatusKind::unsupported, "merges.txt");
}

TEST(LoadTokenizer, PrefersTokenizerJson) {
  const TempDir dir;
  write_text(dir / "tok512.model", spm_bpe());
  EXPECT_EQ((*load_tokenizer(dir.path()))->vocab_size(), 900);
  write_text(dir / "tok99.model", "not looked at");
  EXPECT_FAILURE(load_tokenizer(dir.path()), StatusKind::invalid_argument, "tok512.model");
  write_text(dir / "tokenizer.model", spm_bpe());
  EXPECT_EQ((*load_tokenizer(dir.path()))->vocab_size(), 900);
  write_text(dir / "tokenizer.json", small_document().dump());
  EXPECT_EQ((*load_tokenizer(dir.path()))->vocab_size(), 7);
}

TEST(LoadTokenizer, TakesNoOtherModelForALlama2cOne) {
  const TempDir dir;
  for (const char* name : {"tok.model", "tokx.model", "tok12x.model", "xtok12.model"})
    write_text(dir / name, spm_bpe());
  EXPECT_FAILURE(load_tokenizer(dir.path()), StatusKind::not_found, "tokenizer.model");
}

TEST(SentencePiece, BosAndEosRules) {
  const TempDir dir;
  write_text(dir / "tokenizer.model", spm_bpe());
  const auto special = [&dir](const char* config) {
    write_text(dir / "tokenizer_config.json", config);
    return load_tokenizer(dir.path());
  };
  auto tokenizer = special("{}");
  ASSERT_OK(tokenizer);
  const Ids plain = ids_of(**tokenizer, "the fox");
  Ids with_bos = plain;
  with_bos.insert(with_bos.begin(), 1);
  EXPECT_EQ(ids_of(**tokenizer, "the fox", true), with_bos);
  EXPECT_EQ((*tokenizer)->bos_id(), 1);
  EXPECT_EQ((*tokenizer)->eos_id(), 2);

  tokenizer = special(R"({"add_bos_token": false})");
  EXPECT_EQ(ids_of(**tokenizer, "the fox", true), plain);
  EXPECT_EQ((*tokenizer)->bos_id(), std::nullopt);

  tokenizer = special(R"({"add_eos_token": true})");
  Ids both = with_bos;
  both.push_back(2);
  EXPECT_EQ(ids_of(**tokenizer, "the fox", true), both);

  tokenizer = special(R"({"bos_token": "</s>", "eos_token": {"content": "<s>"}})");
  EXPECT_EQ((*tokenizer)->bos_id(), 2);
  EXPECT_EQ((*tokenizer)->eos_id(), 1);

  tokenizer = special(R"({"bos_token": "<nowhere>"})");
  EXPECT_EQ((*tokenizer)->bos_id(), 1);
}

TEST(SentencePiece, RefusesIdsOutsideOfTheVocabulary) {
  const auto tokenizer = load_tokenizer(golden("spm-bpe"));
  ASSERT_OK(tokenizer);
  for (const int32_t id : {-1, 900, std::numeric_limits<int32_t>::max()}) {
    EXPECT_FAILURE((*tokenizer)->decode(Ids{5, id}), StatusKind::invalid_argument, std::to_string(id));
  }
}

TEST(SentencePiece, InvalidUtf8BecomesReplacementCharacters) {
  const auto tokenizer = load_tokenizer(golden("spm-bpe"));
  EXPECT_EQ(ids_of(**tokenizer, "a\xFFz"), ids_of(**tokenizer, "a\xEF\xBF\xBDz"));
  EXPECT_EQ(ids_of(**tokenizer, "a\xE2\x82"), ids_of(**tokenizer, "a\xEF\xBF\xBD"));
}

TEST(SentencePiece, KeepsACharacterThatTheIdsCutShort) {
  const auto tokenizer = load_tokenizer(golden("spm-bpe"));
  const std::string text = "a \xF0\x9F\xA6\x8A";
  const Ids ids = ids_of(**tokenizer, text);
  ASSERT_GT(ids.size(), 4U);
  for (size_t cut = 0; cut < 4; ++cut) {
    EXPECT_EQ(*(*tokenizer)->decode(std::span(ids).first(ids.size() - cut)), text.substr(0, text.size() - cut));
  }
}

TEST(SentencePiece, TruncatedModelsAreErrorsWithTheFileName) {
  const TempDir dir;
  const std::string model = spm_bpe();
  for (const size_t length : {size_t{0}, size_t{1}, size_t{10}, size_t{1000}, model.size() - 1}) {
    write_text(dir / "tokenizer.model", model.substr(0, length));
    EXPECT_FAILURE(load_tokenizer(dir.path()), StatusKind::corruption, "tokenizer.model");
  }
  write_text(dir / "tokenizer.model", "{\"this\": \"is no model\"}");
  EXPECT_FAILURE(load_tokenizer(dir.path()), StatusKind::corruption, "tokenizer.model");
}

}  // namespace
}  // namespace esparse

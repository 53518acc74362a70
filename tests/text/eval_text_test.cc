#include "text/eval_text.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

std::vector<std::string> documents(const std::filesystem::path& path, JoinRule rule) {
  const auto text = read_eval_text(path, rule);
  EXPECT_TRUE(text.ok()) << text.status().message();
  int64_t bytes = 0;
  for (const std::string& document : text->documents) bytes += std::ssize(document);
  EXPECT_EQ(text->bytes, bytes);
  return text->documents;
}

// "\n\n".join(dataset["text"]) of the Hub's WikiText: its rows are "", " = A = \n", "", " b\n".
TEST(EvalText, WikitextIsJoinedAsWandaDoes) {
  TempDir directory;
  write_text(directory / "wiki.raw", " \n = A = \n \n b\n");
  EXPECT_EQ(documents(directory / "wiki.raw", JoinRule::file), std::vector<std::string>{" \n = A = \n \n b\n"});
  EXPECT_EQ(documents(directory / "wiki.raw", JoinRule::wikitext),
            std::vector<std::string>{"\n\n = A = \n\n\n\n\n b\n"});
  write_text(directory / "no_newline.raw", "a\nb");
  EXPECT_EQ(documents(directory / "no_newline.raw", JoinRule::wikitext), std::vector<std::string>{"a\n\n\nb"});
}

TEST(EvalText, JsonLinesAreDocuments) {
  TempDir directory;
  write_text(directory / "c4.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  EXPECT_EQ(documents(directory / "c4.jsonl", JoinRule::file), std::vector<std::string>{"one\n\ntwo"});
  EXPECT_EQ(documents(directory / "c4.jsonl", JoinRule::space), std::vector<std::string>{"one two"});
  EXPECT_EQ(documents(directory / "c4.jsonl", JoinRule::separate), (std::vector<std::string>{"one", "two"}));
}

TEST(EvalText, TheHashIsThatOfTheFile) {
  TempDir directory;
  write_text(directory / "abc.txt", "abc");
  for (JoinRule rule : {JoinRule::file, JoinRule::wikitext})
    EXPECT_EQ(read_eval_text(directory / "abc.txt", rule)->file_sha256,
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(JoinRules, HaveNames) {
  for (const char* name : {"file", "wikitext", "space", "separate"})
    EXPECT_EQ(join_rule_name(parse_join_rule(name).value()), name);
  EXPECT_TRUE(is_failure(parse_join_rule("lines").status(), StatusKind::invalid_argument, "\"lines\""));
}

}  // namespace
}  // namespace esparse

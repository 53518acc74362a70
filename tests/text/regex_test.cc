#include "text/regex.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"

namespace esparse {
namespace {

using Words = std::vector<std::string>;

Words matches(std::string_view pattern, std::string_view text) {
  const auto regex = Regex::compile(pattern, "test");
  EXPECT_OK(regex);
  if (!regex.ok()) return {};
  const auto spans = regex->find_all(text);
  EXPECT_OK(spans);
  Words words;
  if (!spans.ok()) return words;
  for (const TextSpan& span : *spans) words.emplace_back(text.substr(span.begin, span.end - span.begin));
  return words;
}

// Each expectation is what Oniguruma finds; PCRE2 alone would find something else.
TEST(Regex, FollowsTheRubyDialect) {
  EXPECT_EQ(matches(R"(\s)", "\u180e\u0085"), (Words{"\u0085"}));
  EXPECT_EQ(matches(R"([^\S]+)", "\u180e \u3000"), (Words{" \u3000"}));
  EXPECT_EQ(matches(R"(\w+)", "e\u0301_\u203f\u00bd-"), (Words{"e\u0301_\u203f\u00bd"}));
  EXPECT_EQ(matches(R"([\w]+)", "a\u00b2b"), (Words{"a", "b"}));
  EXPECT_EQ(matches(R"(\bx)", "x e\u0301x"), (Words{"x"}));
  EXPECT_EQ(matches(R"(\h+)", "xyzBEEFg"), (Words{"BEEF"}));
  EXPECT_EQ(matches(R"(a{1,2}+)", "aaaaa"), (Words{"aaaaa"}));
  EXPECT_EQ(matches(R"((?:ab){1}?c)", "abc c"), (Words{"abc", "c"}));
  EXPECT_EQ(matches(R"(a{,2}b)", "aaab"), (Words{"aab"}));
  EXPECT_EQ(matches(R"(^a|b$)", "a\na b\n"), (Words{"a", "a", "b"}));
  EXPECT_EQ(matches(R"((?m:a.)b)", "a\nb"), (Words{"a\nb"}));
  EXPECT_EQ(matches(R"(\p{Han}+)", "\u6f22\u3002\u5b57"), (Words{"\u6f22", "\u5b57"}));
  EXPECT_EQ(matches(R"(\p{^L}|\P{^N})", "a1"), (Words{"1"}));
  EXPECT_EQ(matches(R"(\u0041\x{42}\x43)", "ABC"), (Words{"ABC"}));
  EXPECT_EQ(matches(R"([[:alpha:]]+)", "\u24b6b1"), (Words{"\u24b6b"}));
  EXPECT_EQ(matches(R"((?i)THE)", "the"), (Words{"the"}));
  EXPECT_EQ(matches("{a}", "{a}"), (Words{"{a}"}));
}

TEST(Regex, LeavesOutEmptyMatchesBehindAMatch) {
  EXPECT_EQ(matches("a*", "baac"), (Words{"", "aa", ""}));
  EXPECT_EQ(matches("x*", "\u00e9"), (Words{"", ""}));
  EXPECT_EQ(matches("a", ""), Words{});
}

TEST(Regex, RefusesWhatHasNoTranslation) {
  for (const char* pattern : {"[a[bc]]", "[a&&b]", R"([\W])", R"(\Qa\E)", R"((a)\k<1>)", "a(?i)b", "(?x:a b)", "[]a]",
                              R"(\xff)", "[[:punct:]]", "\\", "[a", "(a", "a)", "(?", R"(\pL)", R"(\p{Nothing})"}) {
    const auto regex = Regex::compile(pattern, "some.json: pre_tokenizer");
    EXPECT_FAILURE(regex, StatusKind::unsupported, pattern);
    EXPECT_FAILURE(regex, StatusKind::unsupported, "some.json: pre_tokenizer");
  }
}

TEST(Regex, RunawayMatchesAreErrors) {
  const auto regex = Regex::compile("(?:a+)+[bc]", "test");
  ASSERT_OK(regex);
  EXPECT_FAILURE(regex->find_all(std::string(5000, 'a')), StatusKind::invalid_argument, "test");
}

}  // namespace
}  // namespace esparse

#include "report/table.h"

#include <gtest/gtest.h>

namespace esparse {
namespace {

const Terminal kFile{};

TEST(Table, AlignsNumbersRightAndWordsLeft) {
  Table table({"name", "count", "note"});
  table.add_row({"a", "1,234", "short"});
  table.add_rule();
  table.add_row(
      {"\xc3\xa9"
       "clair",
       "7", ""});
  EXPECT_EQ(table.text(kFile),
            "name    count  note\n"
            "--------------------\n"
            "a       1,234  short\n"
            "--------------------\n"
            "\xc3\xa9"
            "clair      7\n");
}

TEST(Table, MissingCellsAreEmpty) {
  Table table({"a", "b"});
  table.add_row({"x"});
  EXPECT_EQ(table.text(kFile), "a  b\n----\nx\n");
}

TEST(Table, ColoursOnlyWhereTheyAreWanted) {
  Table table({"a", "n"});
  table.add_row({"x", {"1", Style::good}});
  EXPECT_EQ(table.text(kFile), "a  n\n----\nx  1\n");
  EXPECT_EQ(table.text(Terminal{0, true}),
            "\x1b[1ma\x1b[0m  \x1b[1mn\x1b[0m\n\x1b[2m----\x1b[0m\nx  \x1b[32m1\x1b[0m\n");
}

TEST(NarrowTable, WrapsALastColumnOfWords) {
  Table table({"recipe", "summary"});
  table.add_row({"best", "one two three four five six seven eight nine"});
  table.add_row({"x", "short"});
  EXPECT_EQ(table.text(Terminal{34, false}),
            "recipe  summary\n"
            "----------------------------------\n"
            "best    one two three four five\n"
            "        six seven eight nine\n"
            "x       short\n");
}

TEST(NarrowTable, OfOneRowBecomesAList) {
  Table table({"perplexity", "nats/token", "tokens"});
  table.add_row({"34.63", "3.54485", "20,440"});
  EXPECT_EQ(table.text(Terminal{20, false}),
            "perplexity  34.63\n"
            "nats/token  3.54485\n"
            "tokens      20,440\n");
}

TEST(NarrowTable, OfSeveralRowsComesInPartsWithTheFirstColumn) {
  Table table({"model", "ppl", "bytes", "tok/s"});
  table.add_row({"dense", "34.63", "1000", "50"});
  table.add_rule();
  table.add_row({"2:4", "39.25", "563", "80"});
  EXPECT_EQ(table.text(Terminal{19, false}),
            "model    ppl  bytes\n"
            "-------------------\n"
            "dense  34.63   1000\n"
            "-------------------\n"
            "2:4    39.25    563\n"
            "\n"
            "model  tok/s\n"
            "------------\n"
            "dense     50\n"
            "------------\n"
            "2:4       80\n");
}

TEST(NarrowTable, FitsEveryWidth) {
  Table table({"model", "perplexity", "nats/token", "bytes", "tokens/s", "KL, nats", "same top, %", "time"});
  for (const char* name : {"dense", "best 2:4"})
    table.add_row({name, "34.6345", "3.54485", "1,572,864", "10719", "0.11542", "81.22", "1m07s"});
  for (int width = 22; width < 110; ++width) {
    const std::string text = table.text(Terminal{width, false});
    for (size_t start = 0; start < text.size();) {
      const size_t end = text.find('\n', start);
      EXPECT_LE(end - start, static_cast<size_t>(width)) << text;
      start = end + 1;
    }
    for (const char* cell : {"34.6345", "1,572,864", "81.22", "1m07s"}) EXPECT_NE(text.find(cell), std::string::npos);
  }
}

TEST(WrapWords, BreaksLongWordsToo) {
  EXPECT_EQ(wrap_words("abcdef gh", 4), (std::vector<std::string>{"abcd", "ef", "gh"}));
  EXPECT_EQ(wrap_words("a b c", 3), (std::vector<std::string>{"a b", "c"}));
  EXPECT_EQ(wrap_words("", 3), (std::vector<std::string>{""}));
  EXPECT_EQ(wrap_words("\xc3\xa9\xc3\xa9\xc3\xa9", 2), (std::vector<std::string>{"\xc3\xa9\xc3\xa9", "\xc3\xa9"}));
}

TEST(FormatCount, GroupsThousands) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(-1234567), "-1,234,567");
  EXPECT_EQ(format_count(-123), "-123");
}

}  // namespace
}  // namespace esparse

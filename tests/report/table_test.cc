#include "report/table.h"

#include <gtest/gtest.h>

namespace esparse {
namespace {

TEST(Table, AlignsNumbersRightAndWordsLeft) {
  Table table({"name", "count", "note"});
  table.add_row({"a", "1,234", "short"});
  table.add_rule();
  table.add_row(
      {"\xc3\xa9"
       "clair",
       "7", ""});
  EXPECT_EQ(table.text(),
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
  EXPECT_EQ(table.text(), "a  b\n----\nx\n");
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

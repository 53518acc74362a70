#include "sparse/pattern.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"

namespace esparse {
namespace {

TEST(NmPattern, Parses) {
  for (const auto& [text, kept, group] :
       {std::tuple{"2:4", 2, 4}, {"1:4", 1, 4}, {"4:8", 4, 8}, {"6:8", 6, 8}, {"1:2", 1, 2}, {"31:32", 31, 32}}) {
    const auto pattern = NmPattern::parse(text);
    ASSERT_OK(pattern);
    EXPECT_EQ(*pattern, (NmPattern{kept, group}));
    EXPECT_EQ(pattern->text(), text);
    EXPECT_TRUE(pattern->valid());
  }
  EXPECT_EQ((NmPattern{2, 4}).density(), 0.5);
}

TEST(NmPattern, RefusesWhatIsNoPattern) {
  for (const char* text : {"",
                           "2",
                           ":",
                           "2:",
                           ":4",
                           "2:4x",
                           "x2:4",
                           "a:b",
                           "-1:4",
                           "+2:4",
                           "2 :4",
                           " 2:4",
                           "2:4 ",
                           "2:-4",
                           "2:4:8",
                           "2/4",
                           "2:4\n",
                           "0x2:4",
                           "2.0:4",
                           "99999999999999999999:4",
                           "2:99999999999999999999"})
    EXPECT_FAILURE(NmPattern::parse(text), StatusKind::invalid_argument, "expected N:M") << text;
  EXPECT_FAILURE(NmPattern::parse(std::string_view("2:4\0", 4)), StatusKind::invalid_argument, "expected N:M");
}

TEST(NmPattern, RefusesWhatKeepsAllOrNothing) {
  for (const char* text : {"3:2", "2:2", "0:4", "4:4", "1:1", "0:0", "32:32"})
    EXPECT_FAILURE(NmPattern::parse(text), StatusKind::invalid_argument, "weights kept of every M") << text;
}

TEST(NmPattern, RefusesLargeGroups) {
  for (const char* text : {"2:64", "2:33", "40:33", "2:2147483647"})
    EXPECT_FAILURE(NmPattern::parse(text), StatusKind::invalid_argument, "at most 32") << text;
}

}  // namespace
}  // namespace esparse

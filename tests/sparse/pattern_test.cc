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

// The tail keeps ceil(N * tail / M): of 5:7, one column keeps ceil(5/7) = 1, four keep ceil(20/7) = 3.
TEST(NmPattern, KeptInCountsWholeGroupsAndTheTail) {
  const auto kept_in = [](NmPattern pattern, int64_t last) {
    std::vector<int64_t> kept;
    for (int64_t columns = 0; columns <= last; ++columns) kept.push_back(pattern.kept_in(columns));
    return kept;
  };
  EXPECT_EQ(kept_in({2, 4}, 8), (std::vector<int64_t>{0, 1, 1, 2, 2, 3, 3, 4, 4}));
  EXPECT_EQ(kept_in({1, 4}, 8), (std::vector<int64_t>{0, 1, 1, 1, 1, 2, 2, 2, 2}));
  EXPECT_EQ(kept_in({3, 4}, 8), (std::vector<int64_t>{0, 1, 2, 3, 3, 4, 5, 6, 6}));
  EXPECT_EQ(kept_in({5, 7}, 8), (std::vector<int64_t>{0, 1, 2, 3, 3, 4, 5, 5, 6}));
  EXPECT_EQ(kept_in({31, 32}, 4), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ((NmPattern{4, 8}).kept_in(172), 21 * 4 + 2);
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

#include "sparse/eight_patterns.h"

#include <gtest/gtest.h>

namespace esparse {
namespace {

TEST(EightPatterns, NumberEveryMaskOnceAndListItsColumns) {
  for (const auto& [kept, count] : {std::pair{2, 28}, {4, 70}, {6, 28}}) {
    const EightPatterns& patterns = eight_patterns(kept);
    EXPECT_EQ(patterns.kept, kept);
    EXPECT_EQ(patterns.pairs(), kept / 2);
    ASSERT_EQ(patterns.patterns, count);
    int number = 0;
    for (unsigned mask = 0; mask < 256; ++mask) {
      if (std::popcount(mask) != kept) continue;
      ASSERT_EQ(patterns.number[mask], number);
      unsigned columns = 0;
      for (int k = 0; k < kept; ++k) {
        if (k > 0) {
          ASSERT_LT(patterns.column[number][k - 1], patterns.column[number][k]);
        }
        columns |= 1u << patterns.column[number][k];
      }
      ASSERT_EQ(columns, mask);
      ++number;
    }
  }
}

}  // namespace
}  // namespace esparse

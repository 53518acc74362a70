#include "sparse/tile_pairs.h"

#include <gtest/gtest.h>

#include <set>

namespace esparse {
namespace {

TEST(TilePairs, CoverEveryMaskOnce) {
  for (const int kept : {2, 4, 6}) {
    const PairPatterns& patterns = pair_patterns(kept);
    int number = 0;
    for (unsigned mask = 0; mask < 256; ++mask) {
      if (std::popcount(mask) != kept) continue;
      ASSERT_EQ(patterns.number[mask], number);
      ASSERT_EQ(patterns.mask[number], mask);
      unsigned columns = 0, places = 0;
      for (int k = 0; k < kept / 2; ++k) {
        const ColumnPair pair = patterns.pairs[number][k], place = patterns.places[number][k];
        ASSERT_LT(pair.first, pair.second);
        columns |= 1u << pair.first | 1u << pair.second;
        places |= 1u << place.first | 1u << place.second;
        // The place of a column among the kept ones.
        ASSERT_EQ(place.first, std::popcount(mask & ((1u << pair.first) - 1)));
        ASSERT_EQ(place.second, std::popcount(mask & ((1u << pair.second) - 1)));
      }
      ASSERT_EQ(columns, mask);
      ASSERT_EQ(places, (1u << kept) - 1);
      ++number;
    }
    EXPECT_EQ(patterns.patterns, number);
  }
}

TEST(TilePairs, EveryPairOfTwoAndFourHasASlot) {
  for (const int kept : {2, 4}) {
    std::set<std::pair<int, int>> known;
    const auto take = [&](const auto& slots) {
      for (const ColumnPair slot : slots) EXPECT_TRUE(known.insert({slot.first, slot.second}).second) << "twice";
    };
    kept == 2 ? take(kAllPairs) : take(kPairsOf4);
    const PairPatterns& patterns = pair_patterns(kept);
    for (int number = 0; number < patterns.patterns; ++number)
      for (int k = 0; k < kept / 2; ++k) {
        const ColumnPair pair = patterns.pairs[number][k];
        EXPECT_TRUE(known.contains({pair.first, pair.second})) << kept << " " << number;
      }
  }
}

}  // namespace
}  // namespace esparse

#include "prune/shuffle.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "prune/mask.h"
#include "prune/shuffle_support.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

constexpr NmPattern k24{2, 4};

// 4 rows of group {0, 1, 2, 3} and {4, 5, 6, 7}; the important channels 0..3 stand together, so 2:4 drops half of them.
Matrix<float> crowded_saliency() {
  Matrix<float> saliency(4, 8);
  for (int64_t row = 0; row < 4; ++row)
    for (int64_t j = 0; j < 8; ++j) saliency(row, j) = static_cast<float>(j < 4 ? 10 - j : 8 - j);
  return saliency;
}

TEST(Shuffle, OptionsParse) {
  for (const char* text : {"none", "global", "local", "global+local", "lsa"}) {
    const auto options = ShuffleOptions::parse(text);
    ASSERT_OK(options);
    EXPECT_EQ(options->text(), text);
  }
  for (const char* text : {"", "local+global", "Global", "global+", "all", "global local", "LSA"})
    EXPECT_FAILURE(ShuffleOptions::parse(text), StatusKind::invalid_argument,
                   "none, global, local, global+local or lsa");
  EXPECT_EQ(*parse_deal_style("deal"), DealStyle::deal);
  EXPECT_EQ(*parse_deal_style("snake"), DealStyle::snake);
  EXPECT_FAILURE(parse_deal_style("plain"), StatusKind::invalid_argument, "snake or deal");
}

// Rows of crowded_saliency are 10 9 8 7 | 4 3 2 1: the identity keeps 10 + 9 + 4 + 3 of each row.
TEST(Shuffle, RetainedMassWorkedExample) {
  const Matrix<float> saliency = crowded_saliency();
  EXPECT_EQ(retained_mass(saliency.view(), k24, identity_order(8)), 4 * 26.0);
  EXPECT_EQ(retained_mass(saliency.view(), k24, std::vector<int32_t>{0, 1, 4, 5, 2, 3, 6, 7}), 4 * 34.0);
  EXPECT_EQ(retained_mass(saliency.view(), {1, 4}, identity_order(8)), 4 * 14.0);
  EXPECT_EQ(retained_mass(saliency.view(), {4, 8}, identity_order(8)), 4 * 34.0);
}

// Channels 0..7 are already in falling order. Two groups: deal gives ranks 0 2 4 6 and 1 3 5 7; snake turns every
// second round: 0 3 4 7 and 1 2 5 6.
TEST(Shuffle, GlobalWorkedExample) {
  const Matrix<float> saliency = crowded_saliency();
  EXPECT_EQ(global_naive_shuffle(saliency.view(), k24, DealStyle::deal), (ChannelOrder{0, 2, 4, 6, 1, 3, 5, 7}));
  EXPECT_EQ(global_naive_shuffle(saliency.view(), k24, DealStyle::snake), (ChannelOrder{0, 3, 4, 7, 1, 2, 5, 6}));
}

TEST(Shuffle, GlobalTiesGoToTheLowerChannel) {
  Matrix<float> saliency(2, 8);
  std::ranges::fill(saliency.values(), 1.0f);
  EXPECT_EQ(global_naive_shuffle(saliency.view(), k24, DealStyle::deal), (ChannelOrder{0, 2, 4, 6, 1, 3, 5, 7}));
}

// One swap of an important with an unimportant channel is not enough, two are: the search must find 34 per row.
TEST(Shuffle, LocalFindsTheBestOfATinyCase) {
  const Matrix<float> saliency = crowded_saliency();
  const ChannelOrder order = local_block_shuffle(saliency.view(), k24, identity_order(8), 8);
  EXPECT_TRUE(is_permutation_of_channels(order));
  EXPECT_EQ(retained_mass(saliency.view(), k24, order), 4 * 34.0);
}

TEST(Shuffle, LocalStaysInsideItsBlocks) {
  const Matrix<float> saliency = correlated_saliency(50, 44, 1.0f, 1);
  // 17 is rounded down to 16: blocks 0..15, 16..31 and the shorter 32..43.
  const ChannelOrder order = local_block_shuffle(saliency.view(), k24, identity_order(44), 17);
  EXPECT_TRUE(is_permutation_of_channels(order));
  for (int64_t k = 0; k < 44; ++k) EXPECT_EQ(order[k] / 16, k / 16);
  EXPECT_NE(order, identity_order(44));
  EXPECT_EQ(local_block_shuffle(saliency.view(), k24, identity_order(44), 4), identity_order(44));
  EXPECT_EQ(local_block_shuffle(saliency.view(), k24, identity_order(44), 1), identity_order(44));
}

TEST(Shuffle, LocalNeverLowersTheMass) {
  for (const NmPattern pattern :
       {NmPattern{2, 4}, {1, 4}, {3, 4}, {2, 8}, {4, 8}, {3, 8}, {6, 8}, {5, 7}, {8, 16}, {1, 2}}) {
    for (int seed = 0; seed < 6; ++seed) {
      const int64_t channels = pattern.group * (seed + 5);
      const Matrix<float> saliency = correlated_saliency(1 + 30 * seed, channels, 0.8f, seed);
      ChannelOrder start = identity_order(channels);
      std::ranges::shuffle(start, std::mt19937(seed));
      const ChannelOrder order = local_block_shuffle(saliency.view(), pattern, start, 32);
      EXPECT_TRUE(is_permutation_of_channels(order));
      EXPECT_GE(retained_mass(saliency.view(), pattern, order), retained_mass(saliency.view(), pattern, start) - 1e-9)
          << pattern.text() << " seed " << seed;
    }
  }
}

TEST(Shuffle, NothingToTellApartChangesNothing) {
  Matrix<float> saliency(8, 16);
  EXPECT_EQ(local_block_shuffle(saliency.view(), k24, identity_order(16), 256), identity_order(16));
  std::ranges::fill(saliency.values(), 2.0f);
  EXPECT_EQ(local_block_shuffle(saliency.view(), k24, identity_order(16), 256), identity_order(16));
  EXPECT_TRUE(local_block_shuffle(Matrix<float>(3, 0).view(), k24, {}, 256).empty());
}

// Powers of two only: the search must not depend on the scale, since its stop is relative to the mean.
TEST(Shuffle, LocalIgnoresTheScale) {
  Matrix<float> saliency = correlated_saliency(40, 64, 0.8f, 3);
  const ChannelOrder order = local_block_shuffle(saliency.view(), k24, identity_order(64), 64);
  for (float& score : saliency.values()) score *= 0x1p-40f;
  EXPECT_EQ(local_block_shuffle(saliency.view(), k24, identity_order(64), 64), order);
}

TEST(Shuffle, FindNeverRetainsLessThanItsParts) {
  ShuffleOptions options = *ShuffleOptions::parse("global+local");
  for (int seed = 0; seed < 5; ++seed) {
    const Matrix<float> saliency = correlated_saliency(60, 128, 0.3f * static_cast<float>(seed), seed);
    const auto mass = [&](const ChannelOrder& order) { return retained_mass(saliency.view(), k24, order); };
    options.block = 64;
    const ChannelOrder order = find_channel_order(saliency.view(), k24, options).order;
    EXPECT_TRUE(is_permutation_of_channels(order));
    EXPECT_GE(mass(order), mass(identity_order(128)));
    EXPECT_GE(mass(order), mass(local_block_shuffle(saliency.view(), k24, identity_order(128), 64)));
    const ChannelOrder dealt = global_naive_shuffle(saliency.view(), k24, options.deal);
    EXPECT_GE(mass(order), mass(local_block_shuffle(saliency.view(), k24, dealt, 64)));
    const auto global = find_channel_order(saliency.view(), k24, *ShuffleOptions::parse("global"));
    EXPECT_EQ(global.order, mass(dealt) < mass(identity_order(128)) ? identity_order(128) : dealt);
    const auto none = find_channel_order(saliency.view(), k24, *ShuffleOptions::parse("none"));
    EXPECT_EQ(none.order, identity_order(128));
  }
}

TEST(Shuffle, SameForAnyThreadCount) {
  // Several blocks side by side, and one block whose inside is split. 400 rows: a second panel.
  const Matrix<float> saliency = correlated_saliency(400, 192, 0.8f, 7);
  for (const char* text : {"global+local", "lsa"}) {
    for (int64_t blocks : {12, 1}) {
      ShuffleOptions options = *ShuffleOptions::parse(text);
      options.block = 192 / blocks;
      options.lsa_blocks = blocks;
      set_thread_count(1);
      const ShuffleResult one = find_channel_order(saliency.view(), k24, options);
      for (int threads : {2, 3, 4}) {
        set_thread_count(threads);
        const ShuffleResult other = find_channel_order(saliency.view(), k24, options);
        EXPECT_EQ(other.order, one.order) << text << " " << blocks;
        EXPECT_EQ(other.retained, one.retained);
        EXPECT_EQ(other.retained_identity, one.retained_identity);
      }
    }
  }
  set_thread_count(0);
}

double share_reference(const Matrix<float>& saliency, NmPattern pattern, const ChannelOrder& order, int64_t step) {
  double kept = 0.0, all = 0.0;
  for (int64_t row = 0; row < saliency.rows(); row += step) {
    for (int64_t first = 0; first < saliency.cols(); first += pattern.group) {
      std::vector<float> scores;
      for (int64_t k = first; k < first + pattern.group; ++k) scores.push_back(saliency(row, order[k]));
      std::ranges::sort(scores, std::greater<>());
      for (int k = 0; k < pattern.group; ++k) {
        all += scores[k];
        if (k < pattern.kept) kept += scores[k];
      }
    }
  }
  return kept / all;
}

// 60 of 240 rows are every fourth. The shares are those of all rows, and of the rows searched.
TEST(Shuffle, SearchOnSomeRowsReportsWhatItIsWorthOnAll) {
  const Matrix<float> saliency = correlated_saliency(240, 96, 0.8f, 12);
  Matrix<float> sample(60, 96);
  for (int64_t row = 0; row < 60; ++row) std::ranges::copy(saliency.row(4 * row), sample.row(row).begin());
  for (const char* text : {"global", "local", "global+local", "lsa"}) {
    ShuffleOptions options = *ShuffleOptions::parse(text);
    const ShuffleResult full = find_channel_order(saliency.view(), k24, options);
    EXPECT_EQ(full.retained_on_searched_rows, full.retained);
    const ShuffleResult of_sample = find_channel_order(sample.view(), k24, options);
    options.rows = 60;
    const ShuffleResult result = find_channel_order(saliency.view(), k24, options);
    EXPECT_EQ(result.order, of_sample.order) << text;
    EXPECT_NEAR(result.retained, share_reference(saliency, k24, result.order, 1), 1e-12);
    EXPECT_NEAR(result.retained_identity, share_reference(saliency, k24, identity_order(96), 1), 1e-12);
    EXPECT_NEAR(result.retained_on_searched_rows, share_reference(saliency, k24, result.order, 4), 1e-12);
    EXPECT_GT(result.retained, result.retained_identity);
    EXPECT_NE(result.retained_on_searched_rows, result.retained);
    for (int64_t rows : {0, 240, 1000}) {
      options.rows = rows;
      EXPECT_EQ(find_channel_order(saliency.view(), k24, options).order, full.order);
    }
  }
}

// The searched rows 0 and 2 are 10 9 8 7 | 4 3 2 1: dealing gives groups {0, 3, 4, 7} and {1, 2, 5, 6}, 34 of 44. The
// rows between are 50 0 0 50 | 50 0 0 50: the identity keeps all of their 200, the dealt order half. On all rows 452 of
// 488 against 268.
TEST(Shuffle, SearchOnSomeRowsFallsBackToTheIdentity) {
  Matrix<float> saliency = crowded_saliency();
  for (int64_t row : {1, 3})
    for (int64_t j = 0; j < 8; ++j) saliency(row, j) = j % 4 == 0 || j % 4 == 3 ? 50.0f : 0.0f;
  for (const char* text : {"global", "lsa"}) {
    ShuffleOptions options = *ShuffleOptions::parse(text);
    options.rows = 2;
    const ShuffleResult result = find_channel_order(saliency.view(), k24, options);
    EXPECT_EQ(result.order, identity_order(8)) << text;
    EXPECT_EQ(result.retained_identity, 452.0 / 488.0);
    EXPECT_EQ(result.retained, 452.0 / 488.0);
    EXPECT_EQ(result.retained_on_searched_rows, 34.0 / 44.0);
  }
}

TEST(Shuffle, NothingToKeepCountsAsAllKept) {
  for (const char* text : {"none", "global+local", "lsa"}) {
    const ShuffleOptions options = *ShuffleOptions::parse(text);
    for (int64_t channels : {0, 16}) {
      const ShuffleResult result = find_channel_order(Matrix<float>(4, channels).view(), k24, options);
      EXPECT_EQ(result.retained, 1.0);
      EXPECT_EQ(result.retained_identity, 1.0);
      EXPECT_EQ(result.retained_on_searched_rows, 1.0);
      EXPECT_TRUE(is_permutation_of_channels(result.order));
    }
  }
}

// Share of the mass kept by 2:4 for channel scales that change slowly from channel to channel (128 x 512), where a
// group of neighbours is all rich or all poor. The plain sorted order makes that worse; dealing cures it; the search
// adds to it.
TEST(Shuffle, DealtOrdersBeatTheIdentityAndPlainLoses) {
  for (float spread : {0.3f, 0.8f, 1.5f}) {
    const Matrix<float> saliency = correlated_saliency(128, 512, spread, 11);
    const auto mass = [&](const ChannelOrder& order) { return retained_mass(saliency.view(), k24, order); };
    const double identity = mass(identity_order(512));
    const ChannelOrder deal = global_naive_shuffle(saliency.view(), k24, DealStyle::deal);
    const ChannelOrder snake = global_naive_shuffle(saliency.view(), k24, DealStyle::snake);
    ChannelOrder plain(512);  // undo the deal: rank r was put into slot r div 128 of group r mod 128
    for (int64_t rank = 0; rank < 512; ++rank) plain[rank] = deal[rank % 128 * 4 + rank / 128];
    EXPECT_LT(mass(plain), identity);
    EXPECT_GT(mass(deal), 1.005 * identity);
    EXPECT_GT(mass(snake), mass(deal));
    EXPECT_GT(mass(local_block_shuffle(saliency.view(), k24, snake, 256)), 1.005 * mass(snake));
    EXPECT_GT(mass(local_block_shuffle(saliency.view(), k24, identity_order(512), 256)), 1.005 * identity);
  }
}

// Whole numbers, so that float sums are exact in any order: pruning the permuted weight and feeding it the permuted
// input gives the outputs of the same mask carried back to the original order.
TEST(Shuffle, PermutedLayerGivesTheSameOutputs) {
  std::mt19937 random(5);
  Matrix<float> weight(16, 48), permuted(16, 48), saliency(16, 48);
  std::vector<float> input(48);
  for (float& value : weight.values()) value = static_cast<float>(random() % 201) - 100.0f;
  for (float& value : input) value = static_cast<float>(random() % 21) - 10.0f;
  for (size_t k = 0; k < weight.values().size(); ++k) saliency.values()[k] = std::fabs(weight.values()[k]);
  const ChannelOrder order = find_channel_order(saliency.view(), k24, *ShuffleOptions::parse("global+local")).order;
  Matrix<float> ordered(16, 48);
  for (int64_t i = 0; i < 16; ++i)
    for (int64_t k = 0; k < 48; ++k) ordered(i, k) = saliency(i, order[k]), permuted(i, k) = weight(i, order[k]);
  Matrix<uint8_t> mask(16, 48);
  nm_mask(ordered.view(), k24, mask.view());
  for (int64_t i = 0; i < 16; ++i) {
    float in_new_order = 0.0f;
    std::vector<float> masked(48);
    for (int64_t k = 0; k < 48; ++k) {
      in_new_order += permuted(i, k) * mask(i, k) * input[order[k]];
      masked[order[k]] = weight(i, order[k]) * mask(i, k);
    }
    float in_old_order = 0.0f;
    for (int64_t j = 0; j < 48; ++j) in_old_order += masked[j] * input[j];
    EXPECT_EQ(in_new_order, in_old_order);
  }
}

}  // namespace
}  // namespace esparse

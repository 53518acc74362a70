#include "eval/windows.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "support/status_testing.h"

namespace esparse {
namespace {

std::vector<int32_t> count_from(int32_t first, int64_t count) {
  std::vector<int32_t> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

struct Cut {
  int32_t first;
  int64_t tokens, scored;
  bool operator==(const Cut&) const = default;
};
void PrintTo(const Cut& cut, std::ostream* out) { *out << cut.first << "+" << cut.tokens << "/" << cut.scored; }

std::vector<Cut> cuts(const std::vector<std::vector<int32_t>>& documents, const WindowOptions& options) {
  const auto windows = cut_windows(documents, options);
  EXPECT_TRUE(windows.ok()) << windows.status().message();
  std::vector<Cut> found;
  for (const TextWindow& window : *windows)
    found.push_back({window.text.front(), std::ssize(window.text), window.scored});
  return found;
}

TEST(Windows, StandSideBySideAndTheShortLastOneIsDropped) {
  const std::vector<std::vector<int32_t>> text = {count_from(0, 14)};
  EXPECT_EQ(cuts(text, {.context = 4}), (std::vector<Cut>{{0, 4, 3}, {4, 4, 3}, {8, 4, 3}}));
  EXPECT_EQ(cuts(text, {.context = 4, .keep_short_last = true}),
            (std::vector<Cut>{{0, 4, 3}, {4, 4, 3}, {8, 4, 3}, {12, 2, 1}}));
  EXPECT_EQ(cuts(text, {.context = 4, .max_windows = 2}), (std::vector<Cut>{{0, 4, 3}, {4, 4, 3}}));
  EXPECT_EQ(cuts(text, {.context = 20}), (std::vector<Cut>{{0, 14, 13}})) << "a short text is one window";
}

TEST(Windows, WithABosOfTheirOwnPredictEveryToken) {
  const std::vector<std::vector<int32_t>> text = {count_from(0, 10)};
  EXPECT_EQ(cuts(text, {.context = 4, .bos = 99}), (std::vector<Cut>{{0, 3, 3}, {3, 3, 3}, {6, 3, 3}}));
  const TextWindow window{text[0], 3};
  EXPECT_EQ(window.tokens(99).front(), 99);
  EXPECT_EQ(std::ssize(window.tokens(99)), 11);
  EXPECT_EQ(window.tokens(std::nullopt), text[0]);
}

// For any length, context and stride every token but the first is scored once, and each has as many tokens before it in
// its window as the stride leaves.
TEST(Windows, SlidingCountsEachTokenOnce) {
  for (int64_t length = 2; length < 30; ++length)
    for (int64_t context = 2; context < 9; ++context)
      for (int64_t stride = 1; stride < context; ++stride) {
        SCOPED_TRACE(testing::Message() << length << " tokens, context " << context << ", stride " << stride);
        const std::vector<std::vector<int32_t>> text = {count_from(0, length)};
        const auto windows = cut_windows(text, {.context = context, .stride = stride});
        ASSERT_TRUE(windows.ok());
        std::map<int32_t, int> counted;
        for (const TextWindow& window : *windows) {
          ASSERT_LE(std::ssize(window.text), context);
          for (int32_t id : window.text.last(window.scored)) ++counted[id];
          if (window.text.front() > 0) {
            EXPECT_GE(std::ssize(window.text) - window.scored, context - stride);
          }
        }
        EXPECT_EQ(std::ssize(counted), length - 1);
        for (const auto& [id, times] : counted) EXPECT_EQ(times, 1) << id;
        EXPECT_EQ(scored_tokens(*windows), length - 1);
      }
}

TEST(Windows, DocumentsDoNotMeet) {
  const std::vector<std::vector<int32_t>> text = {count_from(0, 5), count_from(10, 1), count_from(20, 6)};
  EXPECT_EQ(cuts(text, {.context = 4, .keep_short_last = true}), (std::vector<Cut>{{0, 4, 3}, {20, 4, 3}, {24, 2, 1}}));
}

TEST(Windows, RefuseWhatCannotBe) {
  const std::vector<std::vector<int32_t>> text = {count_from(0, 5)}, nothing = {count_from(0, 1)};
  EXPECT_FALSE(cut_windows(text, {.context = 1}).ok());
  EXPECT_FALSE(cut_windows(text, {.context = 4, .stride = 5}).ok());
  EXPECT_FALSE(cut_windows(text, {.context = 4, .stride = 4, .bos = 1}).ok());
  EXPECT_FALSE(cut_windows(nothing, {.context = 4}).ok());
  EXPECT_TRUE(cut_windows(nothing, {.context = 4, .bos = 1}).ok()) << "one token behind a BOS";
}

}  // namespace
}  // namespace esparse

#include "search/search_state.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

SearchState some_state() {
  SearchState state;
  state.sensitivities = {{{"mlp=2:4", {0.1, -0.02, 0.3}}, {"down=4:8", {1e-17, 0, 0}}}, {}};
  state.measured = {{{"mlp=2:4", ""}, {0.2, 3.5, 0.1}, 12345678901, {}}, {{"", "x"}, {0, 3, 0}, 7, 1.25}};
  return state;
}

TEST(SearchState, ComesBackToTheLastBit) {
  const TempDir directory;
  const SearchState state = some_state();
  ASSERT_OK(write_search_state(directory / "s.json", 42, state));
  const auto read = read_search_state(directory / "s.json", 42);
  ASSERT_OK(read);
  ASSERT_EQ(read->sensitivities.size(), 2u);
  for (const auto& [trial, value] : state.sensitivities[0]) {
    const Sensitivity& got = read->sensitivities[0].at(trial);
    EXPECT_EQ(got.kl, value.kl);
    EXPECT_EQ(got.nll_rise, value.nll_rise);
    EXPECT_EQ(got.output_error, value.output_error);
  }
  ASSERT_EQ(read->measured.size(), 2u);
  const MeasuredModel* found = read->find({"", "x"});
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->bytes, 7);
  EXPECT_EQ(found->speedup, 1.25);
  EXPECT_FALSE(read->measured[0].speedup.has_value());
  EXPECT_EQ(read->measured[0].divergence.nll, 3.5);
  EXPECT_EQ(read->find({"x", ""}), nullptr);
}

TEST(SearchState, IsForOneSearchOnly) {
  const TempDir directory;
  const auto none = read_search_state(directory / "none.json", 1);
  ASSERT_OK(none);
  EXPECT_TRUE(none->sensitivities.empty() && none->measured.empty());
  ASSERT_OK(write_search_state(directory / "s.json", 42, some_state()));
  EXPECT_FAILURE(read_search_state(directory / "s.json", 43), StatusKind::invalid_argument, "repeat its command line");
}

TEST(SearchState, DamageIsNamed) {
  const TempDir directory;
  for (const char* text :
       {"", "{", "[]", R"({"fingerprint": 42})", R"({"fingerprint": 42, "sensitivities": 3, "measured": []})",
        R"({"fingerprint": 42, "sensitivities": [3], "measured": []})",
        R"({"fingerprint": 42, "sensitivities": [{"a": {"kl": "x"}}], "measured": []})",
        R"({"fingerprint": 42, "sensitivities": [], "measured": [{"options": [1]}]})",
        R"({"fingerprint": 42, "sensitivities": [], "measured": [{"options": []}]})"}) {
    write_text(directory / "s.json", text);
    const auto read = read_search_state(directory / "s.json", 42);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_NE(read.status().message().find("s.json"), std::string::npos) << read.status().message();
  }
}

}  // namespace
}  // namespace esparse

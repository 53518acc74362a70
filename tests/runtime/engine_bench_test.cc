#include "runtime/engine_bench.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "io/checkpoint.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// 128 positions, as its config.json says.
std::unique_ptr<Model> load_model() {
  auto checkpoint = open_checkpoint(std::filesystem::path(ESPARSE_SOURCE_DIR) / "tests/golden/models/qwen3");
  auto model = Model::load(std::move(checkpoint).value());
  EXPECT_OK(model);
  return std::move(model).value();
}

TEST(TimeEngine, TimesPromptAndTokens) {
  const auto model = load_model();
  const auto times = time_engine(*model, 20, 5, 2);
  ASSERT_OK(times);
  EXPECT_EQ(times->prompt_tokens, 20);
  EXPECT_EQ(times->gen_tokens, 5);
  EXPECT_GT(times->prefill_seconds, 0);
  EXPECT_GT(times->decode_seconds_per_token, 0);
  EXPECT_OK(time_engine(*model, 120, 8, 1));  // all positions
}

TEST(TimeEngine, RefusesWhatTheModelHasNoPositionsFor) {
  const auto model = load_model();
  EXPECT_FAILURE(time_engine(*model, 120, 9, 1), StatusKind::invalid_argument, "at most 128");
  EXPECT_FAILURE(time_engine(*model, 0, 5, 1), StatusKind::invalid_argument, "--prompt-tokens");
  EXPECT_FAILURE(time_engine(*model, 5, 0, 1), StatusKind::invalid_argument, "--gen-tokens");
  EXPECT_FAILURE(time_engine(*model, INT64_MAX, INT64_MAX, 1), StatusKind::invalid_argument, "--prompt-tokens");
}

}  // namespace
}  // namespace esparse

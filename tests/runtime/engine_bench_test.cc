#include "runtime/engine_bench.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "base/dtype.h"
#include "io/checkpoint.h"
#include "model/cpu_engine.h"

namespace esparse {
namespace {

std::unique_ptr<Model> open_model() {
  const auto fixture = std::filesystem::path(ESPARSE_SOURCE_DIR) / "tests/golden/models/llama2-gqa-untied";
  return std::move(Model::load(open_checkpoint(fixture).value()).value());
}

TEST(TimeEngine, TimesBothHalves) {
  const auto model = open_model();
  CpuEngine engine(*model);
  const auto times = time_engine(engine, 20, 5, 3);
  ASSERT_TRUE(times.ok()) << times.status().message();
  EXPECT_GT(times->prefill_seconds, 0);
  EXPECT_GT(times->decode_seconds_per_token, 0);
  EXPECT_EQ(times->prompt_tokens, 20);
  EXPECT_EQ(times->gen_tokens, 5);
}

TEST(TimeEngine, RefusesCountsItCannotRun) {
  const auto model = open_model();
  CpuEngine engine(*model);
  const int64_t positions = model->config().max_positions;
  EXPECT_TRUE(time_engine(engine, positions - 1, 1, 1).ok());
  for (const auto& [prompt, gen, repetitions] :
       {std::array<int64_t, 3>{0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {positions, 1, 1}, {1, INT64_MAX, 1}}) {
    const auto times = time_engine(engine, prompt, gen, repetitions);
    ASSERT_FALSE(times.ok()) << prompt << " " << gen << " " << repetitions;
    EXPECT_EQ(times.status().kind(), StatusKind::invalid_argument);
  }
}

TEST(TimeEngine, RefusesAModelWhoseLogitsAreNotFinite) {
  const auto model = open_model();
  CpuEngine engine(*model);
  LinearLayer& down = model->blocks()[0].down;
  const std::vector<float> huge(down.out_features() * down.in_features(), 3e38f);
  std::vector<std::byte> bytes(static_cast<size_t>(down.weight_bytes()));
  convert_from_f32(down.dtype(), huge, bytes.data());
  down.set_dense(std::move(bytes));
  const auto times = time_engine(engine, 4, 1, 1);
  ASSERT_FALSE(times.ok());
  EXPECT_NE(times.status().message().find("not finite"), std::string::npos) << times.status().message();
}

}  // namespace
}  // namespace esparse

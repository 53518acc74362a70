// Commands that run a model, with --device cuda on a machine without a usable GPU: one line, and nothing half done.
#include <gtest/gtest.h>

#include "cli/run_binary.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

TEST(GpuModel, WithoutAGpuCommandsSaySoInOneLine) {
  const TempDir directory;
  const std::string model = std::string(ESPARSE_SOURCE_DIR) + "/models/novel-1m";
  const std::string text = std::string(ESPARSE_SOURCE_DIR) + "/models/text/heldout.txt";
  for (const std::string& line : {"generate " + model + " --prompt x -n 1 --device cuda",
                                  "eval " + model + " --text " + text + " --context 16 --device cuda:0",
                                  "bench " + model + " --prompt-tokens 2 --gen-tokens 1 --device cuda",
                                  "inspect " + model + " --plan --device cuda"}) {
    const Outcome outcome = run_line(directory.path(), line);
    if (outcome.exit_code == 0) GTEST_SKIP() << "there is a GPU";
    expect_refused(outcome, {"--device cuda", "--device cpu"});
  }
  EXPECT_TRUE(directory.entries().empty());
}

TEST(GpuModel, RefusesWhatNeedsAnotherDevice) {
  const TempDir directory;
  const std::string model = std::string(ESPARSE_SOURCE_DIR) + "/models/novel-1m";
  expect_refused(run_line(directory.path(), "generate " + model + " --prompt x --sparse-library"),
                 {"--sparse-library", "--device cuda"});
  expect_refused(run_line(directory.path(), "bench " + model + " --sparse-library"),
                 {"--sparse-library", "--device cuda"});
  expect_refused(run_line(directory.path(), "inspect " + model + " --device cuda"), {"--device", "--plan"});
}

TEST(GpuModel, RefusesDevicesThatAreNone) {
  const TempDir directory;
  expect_usage_error(run_line(directory.path(), "generate MODEL --prompt x --device cuda:one"), {"--device", "cuda:N"});
}

}  // namespace
}  // namespace esparse

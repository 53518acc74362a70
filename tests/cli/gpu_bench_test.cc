// esparse bench --device cuda on a machine without a usable GPU: one line, and nothing half done.
#include <gtest/gtest.h>

#include "cli/run_binary.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

TEST(GpuBench, WithoutAGpuSaysSoInOneLine) {
  const TempDir directory;
  const Outcome outcome = run_line(
      directory.path(), "bench --device cuda --shapes 64x64 --pattern 2:4 --tokens 1 --repetitions 1 --json out.json");
  if (outcome.exit_code == 0) GTEST_SKIP() << "there is a GPU";
  expect_refused(outcome, {"--device cuda", "--device cpu"});
  EXPECT_TRUE(directory.entries().empty());
}

TEST(GpuBench, RefusesDevicesThatAreNone) {
  const TempDir directory;
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda:-1"})
    expect_usage_error(run_line(directory.path(), std::string("bench --shapes 64x64 --device ") + name), {"--device"});
}

}  // namespace
}  // namespace esparse

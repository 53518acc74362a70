#include "kernels/cuda/cold_timing.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/test_backend.h"
#include "support/status_testing.h"

namespace esparse::cuda {
namespace {

TEST(ColdTiming, RunsInTurnsAndKnowsTheSlowerOne) {
  const TestArray<float> memory(size_t{1} << 22);
  std::vector<int> order;
  const auto fill = [&](int which, int64_t bytes) {
    return [&, which, bytes] {
      order.push_back(which);
      return test_backend().runtime->fill_bytes(reinterpret_cast<std::byte*>(memory.data()), 0, bytes, test_stream());
    };
  };
  const std::function<Status()> candidates[] = {fill(0, 16 << 20), fill(1, 16), [] { return unsupported("never"); }};
  const auto times = time_cold(*test_backend().runtime, test_stream(), 1 << 20, candidates, 5);
  ASSERT_OK(times);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}));
  EXPECT_GT((*times)[0], (*times)[1]);
  EXPECT_GT((*times)[1], 0);
  EXPECT_TRUE(std::isinf((*times)[2]));
}

}  // namespace
}  // namespace esparse::cuda

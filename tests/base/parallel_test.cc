#include "base/parallel.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace esparse {
namespace {

class Parallel : public testing::Test {
 protected:
  ~Parallel() override { set_thread_count(0); }
};

TEST_F(Parallel, CoreCountIsSane) {
  EXPECT_GE(physical_core_count(), 1);
  const unsigned logical = std::thread::hardware_concurrency();
  if (logical == 0) GTEST_SKIP() << "the number of processors is not known";
  EXPECT_LE(physical_core_count(), static_cast<int>(logical));
}

TEST_F(Parallel, ThreadCountIsWhatWasSet) {
  for (const int count : {1, 2, 5}) {
    set_thread_count(count);
    EXPECT_EQ(thread_count(), count);
  }
  for (const int count : {0, -1}) {
    set_thread_count(3 + physical_core_count());
    set_thread_count(count);
    EXPECT_EQ(thread_count(), physical_core_count());
  }
}

TEST_F(Parallel, EveryIndexOnceForEveryCountOfThreads) {
  for (const int threads : {1, 2, 3, 4, 7}) {
    set_thread_count(threads);
    for (const int64_t count : {0, 1, 2, 3, 16, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
      std::atomic<bool> worker_in_range = true;
      parallel_for(count, [&](int64_t index, int worker) {
        ++calls[static_cast<size_t>(index)];
        if (worker < 0 || worker >= threads) worker_in_range = false;
      });
      for (const auto& call : calls) ASSERT_EQ(call, 1) << threads << " threads, " << count << " indices";
      EXPECT_TRUE(worker_in_range);
    }
  }
}

TEST_F(Parallel, NoWorkForNegativeCounts) {
  set_thread_count(2);
  int calls = 0;
  parallel_for(-5, [&](int64_t, int) { ++calls; });
  EXPECT_EQ(calls, 0);
}

// A worker's number names scratch space: two bodies that run at once never have the same.
TEST_F(Parallel, WorkersDoNotShareScratch) {
  constexpr int kThreads = 4;
  set_thread_count(kThreads);
  std::vector<std::atomic<int>> inside(kThreads);
  std::atomic<int> clashes = 0;
  std::vector<std::atomic<int>> used(kThreads);
  parallel_for(400, [&](int64_t, int worker) {
    if (++inside[static_cast<size_t>(worker)] != 1) ++clashes;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    ++used[static_cast<size_t>(worker)];
    --inside[static_cast<size_t>(worker)];
  });
  EXPECT_EQ(clashes, 0);
  int workers_used = 0;
  for (const auto& count : used) workers_used += count > 0;
  EXPECT_GT(workers_used, 1);  // it does run in parallel
}

TEST_F(Parallel, NestedRunsSeriallyAsWorkerZero) {
  set_thread_count(4);
  constexpr int64_t kOuter = 16, kInner = 50;
  std::vector<std::atomic<int>> calls(kOuter * kInner);
  std::atomic<int> wrong = 0;
  parallel_for(kOuter, [&](int64_t outer, int) {
    const auto thread = std::this_thread::get_id();
    int64_t expected = 0;  // serial, so in order
    parallel_for(kInner, [&](int64_t inner, int worker) {
      ++calls[static_cast<size_t>(outer * kInner + inner)];
      if (worker != 0 || inner != expected++ || std::this_thread::get_id() != thread) ++wrong;
    });
  });
  EXPECT_EQ(wrong, 0);
  for (const auto& call : calls) ASSERT_EQ(call, 1);
}

TEST_F(Parallel, WritesAreSeenAfterTheLoop) {
  set_thread_count(4);
  std::vector<int64_t> squares(10'000);
  parallel_for(10'000, [&](int64_t index, int) { squares[static_cast<size_t>(index)] = index * index; });
  for (int64_t index = 0; index < 10'000; ++index) ASSERT_EQ(squares[static_cast<size_t>(index)], index * index);
}

}  // namespace
}  // namespace esparse

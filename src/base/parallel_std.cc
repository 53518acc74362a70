// The same contract on std::thread, for builds in which a sanitizer must see every synchronisation.
#include <atomic>
#include <thread>
#include <vector>

#include "base/parallel.h"

namespace esparse {
namespace {
int g_thread_count = 0;
thread_local bool t_inside = false;
}  // namespace

void set_thread_count(int count) { g_thread_count = count < 1 ? physical_core_count() : count; }

int thread_count() {
  if (g_thread_count == 0) set_thread_count(0);
  return g_thread_count;
}

void parallel_for_impl(int64_t count, bool serial, ParallelBody body) {
  const int threads = thread_count();
  if (serial || count <= 1 || threads == 1 || t_inside) {
    for (int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  std::atomic<int64_t> next{0};
  auto work = [&](int worker) {
    t_inside = true;
    for (int64_t index = next++; index < count; index = next++) body(index, worker);
    t_inside = false;
  };
  std::vector<std::thread> pool;
  for (int worker = 1; worker < threads; ++worker) pool.emplace_back(work, worker);
  work(0);
  for (auto& thread : pool) thread.join();
}

}  // namespace esparse

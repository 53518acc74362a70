#include <omp.h>

#include "base/parallel.h"

namespace esparse {
namespace {
int g_thread_count = 0;  // 0: not chosen yet
thread_local bool t_serial = false;
}  // namespace

void set_thread_count(int count) {
  g_thread_count = count < 1 ? physical_core_count() : count;
  omp_set_num_threads(g_thread_count);  // oneDNN asks OpenMP
}

int thread_count() {
  if (g_thread_count == 0) set_thread_count(0);
  return g_thread_count;
}

void parallel_for_impl(int64_t count, bool serial, ParallelBody body) {
  const int threads = thread_count();
  if (threads == 1 || t_serial || omp_in_parallel()) {
    for (int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  if (serial) {
    // oneDNN and nested loops must not split the work either: a split that depends on the thread count would change
    // the rounding.
    t_serial = true;
    omp_set_num_threads(1);
    for (int64_t index = 0; index < count; ++index) body(index, 0);
    omp_set_num_threads(threads);
    t_serial = false;
    return;
  }
  // Even a single piece runs inside a parallel region, for the same reason.
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int64_t index = 0; index < count; ++index) body(index, omp_get_thread_num());
}

}  // namespace esparse

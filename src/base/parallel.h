// Threads: one pool for the whole process (OpenMP, shared with oneDNN).
// Work is cut into pieces whose size never depends on the number of threads; that is what makes results the same
// bytes for every --threads.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace esparse {

// Physical cores this process may use (its affinity mask, one per core; a cgroup CPU quota lowers it), at least 1.
int physical_core_count();

// How many threads parallel_for uses from now on; values below 1 mean physical_core_count().
void set_thread_count(int count);
int thread_count();

// A borrowed callable: cheap to pass, valid only during the call it is passed to.
class ParallelBody {
 public:
  template <typename F>
  ParallelBody(F& body)  // NOLINT: implicit by intent
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(body)))),
        call_([](void* object, int64_t index, int worker) { (*static_cast<F*>(object))(index, worker); }) {}
  void operator()(int64_t index, int worker) const { call_(object_, index, worker); }

 private:
  void* object_;
  void (*call_)(void*, int64_t, int);
};

// Jobs below this many operations (multiply-adds, or elements times the cost of one) are done by the calling thread:
// waking a pool costs 2 to 10 microseconds, and far more on a busy machine.
inline constexpr int64_t kSerialOperations = 1 << 17;

void parallel_for_impl(int64_t count, bool serial, ParallelBody body);

// Calls body(index, worker) once for each index in [0, count); worker in [0, thread_count()) names scratch space.
// Indices are handed out one by one; the body must not throw. Inside a body it runs serially with worker 0.
template <typename F>
void parallel_for(int64_t count, F&& body) {
  parallel_for_impl(count, false, ParallelBody(body));
}

// The same for a job of about `operations` in all, serial when that is little.
template <typename F>
void parallel_for_sized(int64_t count, int64_t operations, F&& body) {
  parallel_for_impl(count, operations < kSerialOperations, ParallelBody(body));
}

}  // namespace esparse

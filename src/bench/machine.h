// The machine a benchmark ran on, and its limits as measured: what shares of bandwidth and peak refer to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/large_bytes.h"

namespace esparse {

// The fastest way we know to read memory: four long streams a thread over cold_bytes() in large pages. A benchmark that
// lets it take turns with a kernel sees what the machine could read at that moment.
class MemoryReader {
 public:
  MemoryReader();
  void run();  // reads all of it once, with thread_count() threads
  int64_t bytes() const { return data_.size(); }

 private:
  LargeBytes data_;
  std::vector<float> sums_;  // so that no compiler drops the reading
};

struct Machine {
  std::string cpu;  // model name
  std::string isa;  // of our kernels: "avx2"
  int threads = 0;  // one per core
  int64_t last_level_cache_bytes = 0;
  double read_bytes_per_second = 0;  // all threads together, from memory
  double flops_per_second = 0;       // f32 multiply-adds of all threads, two operations each

  // "AMD EPYC, avx2, 2 threads, ...".
  std::string line() const;
};

// Uses thread_count() threads, takes about `seconds`, and holds cold_bytes() of memory meanwhile. Both limits are the
// best of several runs: other work on the machine only ever lowers them.
Machine measure_machine(double seconds);

}  // namespace esparse

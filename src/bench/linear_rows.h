// What sparse linears take against dense ones, shape by shape: the table of `esparse bench --shapes`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "bench/bench_pattern.h"
#include "bench/linear_shapes.h"

namespace esparse {

struct LinearBenchOptions {
  std::vector<LinearShape> shapes;
  std::vector<BenchPattern> patterns;
  std::vector<int64_t> tokens;
  DType dtype = DType::bf16;
  int repetitions = 15;         // at most; fewer where the time does not allow them, at least 3
  double budget_seconds = 180;  // of all rows together, about
};

// Medians over the repetitions, in which the fastest dense kernel, the fastest sparse one and plain reading take turns.
struct LinearRow {
  LinearShape shape;
  std::string pattern;
  int64_t tokens = 0;
  DType dtype = DType::bf16;
  double dense_seconds = 0, sparse_seconds = 0;
  double speedup = 0;      // median of the ratios of each turn
  double speedup_mad = 0;  // and their median absolute deviation
  // The sparse kernel's bytes a second over those of a MemoryReader in the same turn, median.
  double bandwidth_share = 0;
  int repetitions = 0;
  std::string kernel, dense_kernel;
  int64_t weight_bytes = 0;  // that the sparse kernel reads, index included

  double bytes_per_second() const { return static_cast<double>(weight_bytes) / sparse_seconds; }
  // As if the weight were dense.
  double flops_per_second() const {
    return 2.0 * static_cast<double>(tokens * shape.out_features * shape.in_features) / sparse_seconds;
  }
};

// The rows of each shape and pattern, tokens innermost; `on_row` sees each when it is done. Dense is the fastest of our
// linear() in `dtype` on each of its paths and oneDNN in f32 and `dtype`; for the pattern `dense` it is oneDNN alone,
// and "sparse" is our linear(). Every kernel is checked before it is timed (check_contender). Memory: about 16 bytes
// per weight of the largest shape, and cold_bytes() for each kernel; refuses a shape that this machine has not enough
// for.
Result<std::vector<LinearRow>> bench_linears(const LinearBenchOptions& options,
                                             const std::function<void(const LinearRow&)>& on_row);

}  // namespace esparse

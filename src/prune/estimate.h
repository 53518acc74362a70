// What a run will take, told before it starts.
#pragma once

#include <cstdint>

#include "model/model.h"
#include "prune/recipe.h"

namespace esparse {

struct PruneEstimate {
  double operations = 0;       // floating-point operations of matrix products
  int64_t resident_bytes = 0;  // peak
  int64_t disk_bytes = 0;      // hidden states, beside the result
};

// From shapes alone. one_site_at_a_time as in PruneJob.
PruneEstimate estimate_pruning(const Model& model, const Recipe& recipe, int64_t windows, int64_t window_tokens,
                               bool one_site_at_a_time);

// Operations per second of the matrix product on this machine now, all threads, by doing a little (0.1 s).
double measure_product_rate();

}  // namespace esparse

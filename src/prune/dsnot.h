// DSnoT: exchanges pruned and kept weights of a row so that the expected change of its output shrinks
// (docs/methods/dsnot.md). Only the mask changes.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "base/status.h"
#include "calibrate/statistics.h"
#include "prune/target.h"

namespace esparse {

struct DsnotOptions {
  int max_cycle = 50;             // exchanges per row, at most
  double update_threshold = 0.1;  // a row whose |expected change| is not above this is left alone
  double variance_power = 1.0;    // how much the variance of a channel counts against growing its weight

  Status validate() const;
};

// Refines `mask` (1 = kept), which obeys `target`, and returns how many exchanges were made. Every row keeps as many
// weights as before, under N:M every group does. `scores` decide which kept weight goes (the authors take Wanda's).
// All matrices [out_features, in_features]; statistics with sums and norms. Dense targets change nothing. Rows are
// independent; deterministic for any thread count.
int64_t dsnot_refine(MatrixView<const float> weight, const InputStatistics& statistics, MatrixView<const float> scores,
                     const PruneTarget& target, const DsnotOptions& options, MatrixView<uint8_t> mask);

}  // namespace esparse

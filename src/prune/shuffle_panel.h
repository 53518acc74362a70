// How the searches of the channel shuffle read a saliency: in panels of some rows, transposed, so that the scores of
// one channel stand in a run as kernels/shuffle_kernels.h wants them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/checked.h"
#include "base/matrix.h"
#include "kernels/shuffle_kernels.h"

namespace esparse {

// Rows of a panel, the last one excepted: 16 channels of thresholds (16 KiB) stay in the L1 cache while other channels
// stream past them, and f32 sums over so few rows stay exact enough.
inline constexpr int64_t kPanelRows = 256;
// How many channels of thresholds are worked on together.
inline constexpr int64_t kThresholdsAtOnce = 16;

// Rows are filled up to whole lanes; the rows added are zero and change no gain.
inline int64_t padded_rows(int64_t rows) { return ceil_div(rows, kShuffleLanes) * kShuffleLanes; }

// target[c][r] = score of row first_row + r in column columns[c], for r < rows (a multiple of kShuffleLanes), zero
// below the last row.
inline void load_panel(MatrixView<const float> saliency, int64_t first_row, int64_t rows,
                       std::span<const int32_t> columns, float* target) {
  const auto count = static_cast<int64_t>(columns.size());
  const int64_t present = std::min(rows, saliency.rows - first_row);
  for (int64_t r = 0; r < present; ++r) {
    const float* source = saliency.row(first_row + r).data();
    for (int64_t c = 0; c < count; ++c) target[c * rows + r] = source[columns[c]];
  }
  for (int64_t c = 0; c < count; ++c) std::fill(target + c * rows + present, target + (c + 1) * rows, 0.0f);
}

}  // namespace esparse

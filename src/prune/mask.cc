#include "prune/mask.h"

#include <algorithm>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

// A score is kept when fewer than `kept` of its group stand before it. Counting instead of sorting has no branches.
void mask_group(const float* scores, int kept, int group, uint8_t* mask) {
  for (int column = 0; column < group; ++column) {
    int before = 0;
    for (int other = 0; other < column; ++other) before += scores[other] >= scores[column];
    for (int other = column + 1; other < group; ++other) before += scores[other] > scores[column];
    mask[column] = before < kept;
  }
}

}  // namespace

void nm_mask(MatrixView<const float> saliency, NmPattern pattern, MatrixView<uint8_t> mask) {
  ESPARSE_CHECK(pattern.valid());
  ESPARSE_CHECK(saliency.rows == mask.rows && saliency.cols == mask.cols);
  constexpr int64_t kChunkRows = 64;
  const auto tail = static_cast<int>(saliency.cols % pattern.group);
  const auto kept_of_tail = static_cast<int>(pattern.kept_in(tail));
  const int64_t whole = saliency.cols - tail;
  const int64_t comparisons = saliency.rows * saliency.cols * pattern.group;
  parallel_for_sized(ceil_div(saliency.rows, kChunkRows), comparisons, [&](int64_t chunk, int) {
    const int64_t end = std::min(saliency.rows, (chunk + 1) * kChunkRows);
    for (int64_t row = chunk * kChunkRows; row < end; ++row) {
      const float* scores = saliency.row(row).data();
      uint8_t* kept = mask.row(row).data();
      for (int64_t first = 0; first < whole; first += pattern.group)
        mask_group(scores + first, pattern.kept, pattern.group, kept + first);
      mask_group(scores + whole, kept_of_tail, tail, kept + whole);
    }
  });
}

}  // namespace esparse

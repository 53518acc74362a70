// Unstructured masks: the smallest scores of a row, or of a whole layer, are removed wherever they stand.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace esparse {

enum class SparsityScope { row, layer };  // within what scores compete

// floor(sparsity * count), the sparsity (0 <= sparsity < 1) read as the decimal number that was written: 0.29 of 100 is
// 29, although the double next to 0.29 is smaller. Less than count, unless count is 0.
int64_t removed_count(double sparsity, int64_t count);

// mask(i, j) = 1 where kept, else 0; exactly removed_count() of each row, or of the layer, are removed. Of equal scores
// those with the lower index (row first, then column) are kept. NaN scores must not occur. Time is linear in the
// weights; deterministic for any thread count.
void unstructured_mask(MatrixView<const float> saliency, double sparsity, SparsityScope scope,
                       MatrixView<uint8_t> mask);

}  // namespace esparse

// The largest entries of a whole matrix, and of the N:M groups of a row, by magnitude.
#pragma once

#include <cstdint>
#include <span>

#include "base/matrix.h"
#include "sparse/pattern.h"

namespace esparse {

// mask(i, j) = 1 for exactly `kept` entries of largest magnitude, else 0; of equal ones the earlier (rows first) is
// kept. 0 <= kept <= rows * cols; NaN must not occur. Reads the scores four times, on all threads.
void keep_largest(MatrixView<const float> scores, int64_t kept, MatrixView<uint8_t> mask);

// mask[j] = 1 for the N of every M consecutive scores with the largest magnitude, of equal ones the lower column; a
// shorter last group keeps N * columns / M of them, rounded up.
void keep_largest_of_groups(std::span<const float> scores, NmPattern pattern, std::span<uint8_t> mask);

}  // namespace esparse

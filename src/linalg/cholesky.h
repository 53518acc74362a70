// Cholesky factor and triangular inverse in double, in place, on all threads; the same bits for any number of them.
// Only the lower half (with the diagonal) is read and written.
#pragma once

#include "base/matrix.h"
#include "base/status.h"

namespace esparse {

// a = L with a = L L^T; n^3 / 3 operations. Numeric failure, which names the row, when a pivot is not positive: then
// `a` is destroyed.
Status cholesky_lower(MatrixView<double> a);

// l = l^-1; n^3 / 3 operations. The diagonal must hold no zero.
void invert_lower(MatrixView<double> l);

}  // namespace esparse

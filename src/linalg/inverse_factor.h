// What pruning asks of a gram H: the upper factor of its damped inverse, and solutions with it. H is f32 [in, in] and
// only its upper half is read; the work is done in double (8 bytes * in^2 of scratch). Results are the same bits for
// any number of threads.
//
// Damping is relative: `damping` times the mean of the diagonal is added to the diagonal. A dead channel (H_jj = 0)
// counts neither in the mean nor in the result: its diagonal is set to 1 and the caller zeroes the weights that read
// it.
#pragma once

#include <vector>

#include "base/matrix.h"
#include "base/status.h"

namespace esparse {

// What damping = 1 adds to the diagonal: the mean of its positive entries, 0 when there is none.
double mean_diagonal(MatrixView<const float> gram);

// U, upper triangular with zeros below, such that (H + damping * mean I)^-1 = U^T U. Taking `gram` by value lets U
// stand in its memory. Numeric failure when the damped gram is not positive definite to working precision, or not
// finite.
//
// Cost 2/3 in^3 operations, half of factor + inverse + factor: with J the reversal of all channels,
// J H J = L L^T gives H = R R^T with R = J L J upper, and U = R^-1.
Result<Matrix<float>> inverse_cholesky_upper(Matrix<float> gram, double damping);

struct InverseFactor {
  Matrix<float> u;
  double damping = 0;  // the one that worked
};
// The same, with more damping where it fails: ten times as much, at most six times (from 0: 1e-6 first), then 1. Only
// a gram that is not finite fails for good.
Result<InverseFactor> inverse_cholesky_upper_ladder(Matrix<float> gram, double damping);

// The diagonal of the inverse that `u` is the factor of: column sums of squares.
std::vector<double> inverse_diagonal(const Matrix<float>& u);

// b [rows, in] = b * (H + damping * mean I)^-1. Numeric failure as above; then b is unchanged.
Status solve_gram_right(MatrixView<const float> gram, double damping, MatrixView<float> b);

}  // namespace esparse

// ALPS (docs/methods/alps.md): mask and weights found together by the alternating direction method of multipliers,
// then the best weights for the mask.
#pragma once

#include <cstdint>
#include <utility>

#include "base/matrix.h"
#include "base/status.h"
#include "sparse/pattern.h"

namespace esparse {

struct AlpsOptions {
  double damping = 0.01;  // times the mean of the diagonal, added to the gram
  double rho = 0.1;       // first penalty, for a gram with unit diagonal
  int max_iterations = 300;
  int final_iterations = 10;  // of the conjugate gradients for the final mask
  double final_rtol = 1e-4;
};

struct AlpsReport {
  int iterations = 0;
  double rho = 0;          // the last penalty
  bool converged = false;  // false: stopped by max_iterations
};

// weight [out, in] f32 becomes the solution, mask [out, in] its support (1 = kept), for the N:M pattern in the first
// `columns` columns (a last group of columns % M keeps N * (columns % M) / M, rounded up; the columns that follow are
// all kept) or for round((1 - sparsity) * out * in) weights anywhere. gram
// [in, in] f32: its upper half is read; by value, because a scaled copy is needed. Numeric failure when the gram is not
// finite or not positive definite; then weight is unchanged.
//
// All threads, the same bits for any number of them. Memory beside the arguments: 12 * in^2 + 10 * out * in bytes.
// Cost: an iteration 2 * out * in^2 operations in f32, a new penalty (every third iteration at most) in^3 / 3 in
// double.
Result<AlpsReport> alps(MatrixView<float> weight, Matrix<float> gram, NmPattern pattern, int64_t columns,
                        MatrixView<uint8_t> mask, const AlpsOptions& options = {});
inline Result<AlpsReport> alps(MatrixView<float> weight, Matrix<float> gram, NmPattern pattern,
                               MatrixView<uint8_t> mask, const AlpsOptions& options = {}) {
  return alps(weight, std::move(gram), pattern, weight.cols, mask, options);  // all columns
}
Result<AlpsReport> alps(MatrixView<float> weight, Matrix<float> gram, double sparsity, MatrixView<uint8_t> mask,
                        const AlpsOptions& options = {});

}  // namespace esparse

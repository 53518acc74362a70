// The best weights for a mask that is given: conjugate gradients for all rows at once.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace esparse {

struct MaskedSolveOptions {
  double ridge = 0;         // added to the diagonal of the gram: the damping, as an absolute number
  int max_iterations = 10;  // each costs 2 * out * in^2 operations
  double rtol = 1e-4;       // a row stops when its residual is below rtol times its right-hand side
};

struct MaskedSolveResult {
  int iterations = 0;   // of the slowest rows
  double decrease = 0;  // of the objective, over all rows, >= 0
};

// Minimises, row by row, w H w^T - 2 w t^T over rows w that are 0 outside the mask, starting from `weight`; its entries
// outside the mask are set to 0 first. With target = D H this is (w - d) H (w - d)^T up to a constant: the rows of D
// are the optimum without a mask.
//
// H = gram + ridge I, gram [in, in] f32 symmetric with both halves filled, positive semidefinite. target, weight and
// mask (1 = kept) [out, in]. Preconditioned with the diagonal of H; products in f32, dot products in double. A row
// whose objective did not fall keeps its start. Rows are independent: all threads take panels of them, the bits do not
// depend on their number. Scratch of a thread: 640 * in * 4 bytes.
MaskedSolveResult masked_solve(MatrixView<const float> gram, MatrixView<const float> target,
                               MatrixView<const uint8_t> mask, MatrixView<float> weight,
                               const MaskedSolveOptions& options = {});

}  // namespace esparse

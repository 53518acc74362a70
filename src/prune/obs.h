// The sweep of SparseGPT (docs/methods/sparsegpt.md): removes weights column by column, from the first to the last, and
// lets the columns still to come make up for what was removed.
//
// weight [out, in] f32, changed in place: removed weights become 0, kept ones adapt. u [in, in] f32, the upper factor
// of the inverse gram (linalg/inverse_factor.h); only its upper half is read. mask [out, in], 1 = kept. All return the
// loss, the sum over removed weights of (w / U_jj)^2 at the moment of removal. It equals
// tr((W' - W) H (W' - W)^T) for the damped gram H that U belongs to.
//
// Weights that read a dead channel must be 0. All threads work on panels of rows; the bits do not depend on their
// number. Scratch: out * 1024 * 4 bytes.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "sparse/pattern.h"

namespace esparse {

// Fills the mask: when the sweep reaches a group of M columns, every row keeps the N largest (w / U_jj)^2; of equal
// ones the lower column. Of the first `columns` columns alone is anything removed; a last group of columns % M of them
// keeps N * (columns % M) / M, rounded up. All that follow are kept, and make up for what was removed. `errors`, if not
// null, [out, columns]: w / U_jj of every removed weight, 0 of kept ones.
double obs_sweep(MatrixView<float> weight, MatrixView<const float> u, NmPattern pattern, MatrixView<uint8_t> mask,
                 int64_t columns, MatrixView<float>* errors = nullptr);
// All columns.
inline double obs_sweep(MatrixView<float> weight, MatrixView<const float> u, NmPattern pattern,
                        MatrixView<uint8_t> mask) {
  return obs_sweep(weight, u, pattern, mask, weight.cols);
}

// Fills the mask: when the sweep reaches a block of columns, the floor(sparsity * out * columns) smallest scores of the
// whole block are removed, wherever they stand. 0 <= sparsity <= 1, block >= 1.
double obs_sweep(MatrixView<float> weight, MatrixView<const float> u, double sparsity, MatrixView<uint8_t> mask,
                 int64_t block = 128);

// With a mask that is given.
double obs_sweep_masked(MatrixView<float> weight, MatrixView<const float> u, MatrixView<const uint8_t> mask);

}  // namespace esparse

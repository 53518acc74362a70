// The inner part of the OBS sweep (prune/obs.h): one block of columns of all rows. What the block owes the columns
// behind it is a product that GemmLibrary makes.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// Columns of a block at most: four for every lane of the warp that sweeps a row, and 64 KiB of U in shared memory.
inline constexpr int kObsColumns = 128;

struct ObsBlockArgs {
  float* weight;              // [rows, columns], changed in place: 0 where removed
  const float* u_transposed;  // [columns, columns]: element (j, c) is U[c][j]; where j < c it is not read
  uint8_t* mask;              // [rows, columns], 1 = kept: written where group > 0, otherwise read
  float* errors;              // [rows, kObsColumns] -w / U_cc of removed weights, 0 of kept ones
  double* losses;             // [rows] += sum of squared errors
  int64_t weight_stride, u_stride, mask_stride;
  int rows, columns;
  int kept,
      group;  // N:M, chosen group by group; a shorter last group keeps ceil(N * columns / M). group 0: by the mask
};

struct ObsKernels {
  LaunchCode (*sweep_block)(const ObsBlockArgs& args, Stream stream);
};

}  // namespace esparse::cuda

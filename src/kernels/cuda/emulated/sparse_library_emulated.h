#pragma once

#include "kernels/cuda/sparse_library.h"

namespace esparse::cuda {

// Plain loops over host memory, sums in f32; takes what the real library takes and refuses what it refuses.
const SparseLibrary& emulated_sparse_library();

}  // namespace esparse::cuda

#pragma once

#include "kernels/cuda/sparse_library.h"

namespace esparse::cuda {

// cuSPARSELt, opened at run time; a stub that says why not where its header was not found when esparse was built.
const SparseLibrary& cusparselt();

}  // namespace esparse::cuda

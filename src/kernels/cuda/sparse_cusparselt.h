#pragma once

#include <memory>

#include "kernels/cuda/library_host.h"
#include "kernels/cuda/sparse_library.h"

namespace esparse::cuda {

// cuSPARSELt, opened at run time, when it is first needed; a stub that says why not where its header was not found when
// esparse was built. For the device that is current at the first call.
std::unique_ptr<SparseLibrary> make_cusparselt(LibraryHost host);

// On the GPU of this process.
const SparseLibrary& cusparselt();

}  // namespace esparse::cuda

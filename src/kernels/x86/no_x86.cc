// Stands in for the x86 kernels on other processors.
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"

namespace esparse {

const RowKernels* avx2_row_kernels() { return nullptr; }
const ShuffleKernels* avx2_shuffle_kernels() { return nullptr; }

}  // namespace esparse

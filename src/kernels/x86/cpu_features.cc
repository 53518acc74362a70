// Compiled without -mavx2, so that asking is safe on any x86-64.
#include "kernels/row_kernels.h"

namespace esparse {

extern const RowKernels kAvx2RowKernels;

const RowKernels* avx2_row_kernels() {
  const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  return has ? &kAvx2RowKernels : nullptr;
}

}  // namespace esparse

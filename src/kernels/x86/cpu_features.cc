// Compiled without -mavx2, so that asking is safe on any x86-64.
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"

namespace esparse {

extern const RowKernels kAvx2RowKernels;
extern const ShuffleKernels kAvx2ShuffleKernels;

const RowKernels* avx2_row_kernels() {
  const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  return has ? &kAvx2RowKernels : nullptr;
}

const ShuffleKernels* avx2_shuffle_kernels() { return __builtin_cpu_supports("avx2") ? &kAvx2ShuffleKernels : nullptr; }

}  // namespace esparse

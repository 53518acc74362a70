#include "bench/machine_loops.h"
#include "kernels/simd/avx512.h"

namespace esparse {

extern const MachineKernels kAvx512MachineKernels;
const MachineKernels kAvx512MachineKernels = MachineLoops<simd::Avx512>::kernels();

}  // namespace esparse

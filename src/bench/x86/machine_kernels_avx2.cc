#include "bench/machine_loops.h"
#include "kernels/simd/avx2.h"

namespace esparse {

extern const MachineKernels kAvx2MachineKernels;
const MachineKernels kAvx2MachineKernels = MachineLoops<simd::Avx2>::kernels();

}  // namespace esparse

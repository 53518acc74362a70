#include "bench/machine_loops.h"
#include "kernels/simd/emulated.h"

namespace esparse {

const MachineKernels kPortableMachineKernels = MachineLoops<simd::Emulated<4>>::kernels();

}  // namespace esparse

#include "bench/machine_kernels.h"

namespace esparse {

extern const MachineKernels kAvx2MachineKernels;
extern const MachineKernels kAvx512MachineKernels;

template <>
std::span<const TableEntry<MachineKernels>> all_tables() {
  static constexpr TableEntry<MachineKernels> tables[] = {{Isa::avx512, &kAvx512MachineKernels},
                                                          {Isa::avx2, &kAvx2MachineKernels},
                                                          {Isa::portable, &kPortableMachineKernels}};
  return tables;
}

}  // namespace esparse

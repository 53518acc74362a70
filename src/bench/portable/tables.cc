#include "bench/machine_kernels.h"

namespace esparse {

template <>
std::span<const TableEntry<MachineKernels>> all_tables() {
  static constexpr TableEntry<MachineKernels> tables[] = {{Isa::portable, &kPortableMachineKernels}};
  return tables;
}

}  // namespace esparse

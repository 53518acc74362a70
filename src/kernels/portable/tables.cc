// The kernel tables where no special instructions are known.
#include "kernels/cpu_features.h"
#include "kernels/gather_kernels.h"
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"

namespace esparse {

bool cpu_has(Isa isa) { return isa == Isa::portable; }

template <>
std::span<const TableEntry<RowKernels>> all_tables() {
  static constexpr TableEntry<RowKernels> tables[] = {{Isa::portable, &kPortableRowKernels}};
  return tables;
}

template <>
std::span<const TableEntry<ShuffleKernels>> all_tables() {
  static constexpr TableEntry<ShuffleKernels> tables[] = {{Isa::portable, &kPortableShuffleKernels}};
  return tables;
}

template <>
std::span<const TableEntry<GatherKernels>> all_tables() {
  static constexpr TableEntry<GatherKernels> tables[] = {{Isa::portable, &kPortableGatherKernels}};
  return tables;
}

}  // namespace esparse

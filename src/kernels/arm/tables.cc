// The kernel tables of AArch64, by family. Where only plain C++ stands, the compiler makes NEON code of it.
#include "kernels/isa.h"
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"

namespace esparse {

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

}  // namespace esparse

// The kernel tables where no special instructions are known.
#include "kernels/attention_kernels.h"
#include "kernels/bit_kernels.h"
#include "kernels/cpu_features.h"
#include "kernels/dense_kernels.h"
#include "kernels/gather_kernels.h"
#include "kernels/isa.h"
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"
#include "kernels/tile_kernels.h"

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
std::span<const TableEntry<TileKernels>> all_tables() {
  static constexpr TableEntry<TileKernels> tables[] = {{Isa::portable, &kPortableTileKernels}};
  return tables;
}

template <>
std::span<const TableEntry<DenseKernels>> all_tables() {
  static constexpr TableEntry<DenseKernels> tables[] = {{Isa::portable, &kPortableDenseKernels}};
  return tables;
}

template <>
std::span<const TableEntry<AttentionKernels>> all_tables() {
  static constexpr TableEntry<AttentionKernels> tables[] = {{Isa::portable, &kPortableAttentionKernels}};
  return tables;
}

template <>
std::span<const TableEntry<BitKernels>> all_tables() {
  static constexpr TableEntry<BitKernels> tables[] = {{Isa::portable, &kPortableBitKernels}};
  return tables;
}

template <>
std::span<const TableEntry<GatherKernels>> all_tables() {
  static constexpr TableEntry<GatherKernels> tables[] = {{Isa::portable, &kPortableGatherKernels}};
  return tables;
}

}  // namespace esparse

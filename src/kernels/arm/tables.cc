// The kernel tables of AArch64, by family. Where only plain C++ stands, the compiler makes NEON code of it.
#include "kernels/attention_kernels.h"
#include "kernels/bit_kernels.h"
#include "kernels/dense_kernels.h"
#include "kernels/gather_kernels.h"
#include "kernels/isa.h"
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"
#include "kernels/tile_kernels.h"

namespace esparse {

extern const TileKernels kNeonTileKernels;
extern const DenseKernels kNeonDenseKernels;
extern const AttentionKernels kNeonAttentionKernels;
extern const GatherKernels kNeonGatherKernels;

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
std::span<const TableEntry<BitKernels>> all_tables() {
  static constexpr TableEntry<BitKernels> tables[] = {{Isa::portable, &kPortableBitKernels}};
  return tables;
}

template <>
std::span<const TableEntry<TileKernels>> all_tables() {
  static constexpr TableEntry<TileKernels> tables[] = {{Isa::neon, &kNeonTileKernels},
                                                       {Isa::portable, &kPortableTileKernels}};
  return tables;
}

template <>
std::span<const TableEntry<DenseKernels>> all_tables() {
  static constexpr TableEntry<DenseKernels> tables[] = {{Isa::neon, &kNeonDenseKernels},
                                                        {Isa::portable, &kPortableDenseKernels}};
  return tables;
}

template <>
std::span<const TableEntry<AttentionKernels>> all_tables() {
  static constexpr TableEntry<AttentionKernels> tables[] = {{Isa::neon, &kNeonAttentionKernels},
                                                            {Isa::portable, &kPortableAttentionKernels}};
  return tables;
}

template <>
std::span<const TableEntry<GatherKernels>> all_tables() {
  static constexpr TableEntry<GatherKernels> tables[] = {{Isa::neon, &kNeonGatherKernels},
                                                         {Isa::portable, &kPortableGatherKernels}};
  return tables;
}

}  // namespace esparse

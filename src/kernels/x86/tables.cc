// The kernel tables of x86-64, by family.
#include "kernels/attention_kernels.h"
#include "kernels/bit_kernels.h"
#include "kernels/dense_kernels.h"
#include "kernels/gather_kernels.h"
#include "kernels/isa.h"
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"
#include "kernels/tile_kernels.h"

namespace esparse {

extern const RowKernels kAvx2RowKernels;
extern const ShuffleKernels kAvx2ShuffleKernels;
extern const TileKernels kAvx512Bf16TileKernels, kAvx512TileKernels, kAvx2TileKernels;
extern const DenseKernels kAvx512DenseKernels, kAvx2DenseKernels;
extern const AttentionKernels kAvx512AttentionKernels, kAvx2AttentionKernels;
extern const BitKernels kAvx512Bf16BitKernels, kAvx512BitKernels, kAvx2BitKernels;
extern const GatherKernels kAvx512GatherKernels, kAvx2GatherKernels;

template <>
std::span<const TableEntry<RowKernels>> all_tables() {
  static constexpr TableEntry<RowKernels> tables[] = {{Isa::avx2, &kAvx2RowKernels},
                                                      {Isa::portable, &kPortableRowKernels}};
  return tables;
}

template <>
std::span<const TableEntry<ShuffleKernels>> all_tables() {
  static constexpr TableEntry<ShuffleKernels> tables[] = {{Isa::avx2, &kAvx2ShuffleKernels},
                                                          {Isa::portable, &kPortableShuffleKernels}};
  return tables;
}

template <>
std::span<const TableEntry<TileKernels>> all_tables() {
  static constexpr TableEntry<TileKernels> tables[] = {{Isa::avx512_bf16, &kAvx512Bf16TileKernels},
                                                       {Isa::avx512, &kAvx512TileKernels},
                                                       {Isa::avx2, &kAvx2TileKernels},
                                                       {Isa::portable, &kPortableTileKernels}};
  return tables;
}

template <>
std::span<const TableEntry<DenseKernels>> all_tables() {
  static constexpr TableEntry<DenseKernels> tables[] = {
      {Isa::avx512, &kAvx512DenseKernels}, {Isa::avx2, &kAvx2DenseKernels}, {Isa::portable, &kPortableDenseKernels}};
  return tables;
}

template <>
std::span<const TableEntry<AttentionKernels>> all_tables() {
  static constexpr TableEntry<AttentionKernels> tables[] = {{Isa::avx512, &kAvx512AttentionKernels},
                                                            {Isa::avx2, &kAvx2AttentionKernels},
                                                            {Isa::portable, &kPortableAttentionKernels}};
  return tables;
}

template <>
std::span<const TableEntry<BitKernels>> all_tables() {
  static constexpr TableEntry<BitKernels> tables[] = {{Isa::avx512_bf16, &kAvx512Bf16BitKernels},
                                                      {Isa::avx512, &kAvx512BitKernels},
                                                      {Isa::avx2, &kAvx2BitKernels},
                                                      {Isa::portable, &kPortableBitKernels}};
  return tables;
}

template <>
std::span<const TableEntry<GatherKernels>> all_tables() {
  static constexpr TableEntry<GatherKernels> tables[] = {
      {Isa::avx512, &kAvx512GatherKernels}, {Isa::avx2, &kAvx2GatherKernels}, {Isa::portable, &kPortableGatherKernels}};
  return tables;
}

}  // namespace esparse

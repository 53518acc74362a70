// The kernel tables of x86-64, by family.
#include "kernels/isa.h"
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"
#include "kernels/tile_kernels.h"

namespace esparse {

extern const RowKernels kAvx2RowKernels;
extern const ShuffleKernels kAvx2ShuffleKernels;
extern const TileKernels kAvx2TileKernels, kAvx512TileKernels, kAvx512Bf16TileKernels;

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

}  // namespace esparse

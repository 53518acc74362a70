// The kernel tables of x86-64, by family.
#include "kernels/bit_kernels.h"
#include "kernels/isa.h"
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"

namespace esparse {

extern const RowKernels kAvx2RowKernels;
extern const ShuffleKernels kAvx2ShuffleKernels;

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

extern const BitKernels kAvx2BitKernels, kAvx512BitKernels, kAvx512Bf16BitKernels;

template <>
std::span<const TableEntry<BitKernels>> all_tables() {
  static constexpr TableEntry<BitKernels> tables[] = {{Isa::avx512_bf16, &kAvx512Bf16BitKernels},
                                                      {Isa::avx512, &kAvx512BitKernels},
                                                      {Isa::avx2, &kAvx2BitKernels},
                                                      {Isa::portable, &kPortableBitKernels}};
  return tables;
}

}  // namespace esparse

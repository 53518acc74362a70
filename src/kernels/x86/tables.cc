// The kernel tables of x86-64, by family.
#include "kernels/gather_kernels.h"
#include "kernels/isa.h"
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"

namespace esparse {

extern const RowKernels kAvx2RowKernels;
extern const ShuffleKernels kAvx2ShuffleKernels;
extern const GatherKernels kAvx2GatherKernels;
extern const GatherKernels kAvx512GatherKernels;
extern const GatherKernels kAvx512Bf16GatherKernels;

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
std::span<const TableEntry<GatherKernels>> all_tables() {
  static constexpr TableEntry<GatherKernels> tables[] = {{Isa::avx512_bf16, &kAvx512Bf16GatherKernels},
                                                         {Isa::avx512, &kAvx512GatherKernels},
                                                         {Isa::avx2, &kAvx2GatherKernels},
                                                         {Isa::portable, &kPortableGatherKernels}};
  return tables;
}

}  // namespace esparse

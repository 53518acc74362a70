// The kernel tables of x86-64, by family.
#include "kernels/attention_kernels.h"
#include "kernels/dense_kernels.h"
#include "kernels/isa.h"
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"

namespace esparse {

extern const RowKernels kAvx2RowKernels;
extern const ShuffleKernels kAvx2ShuffleKernels;
extern const DenseKernels kAvx2DenseKernels;
extern const DenseKernels kAvx512DenseKernels;
extern const AttentionKernels kAvx2AttentionKernels;
extern const AttentionKernels kAvx512AttentionKernels;

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

}  // namespace esparse

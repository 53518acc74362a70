// Attention over stored keys and values in AVX-512; kernels/simd/attention.h.
#include "kernels/simd/attention.h"
#include "kernels/simd/avx512.h"

namespace esparse {

extern const AttentionKernels kAvx512AttentionKernels;
const AttentionKernels kAvx512AttentionKernels = {"avx512", simd::Attention<simd::Avx512>::attend,
                                                  simd::Attention<simd::Avx512>::softmax_step,
                                                  simd::Attention<simd::Avx512>::narrow};

}  // namespace esparse

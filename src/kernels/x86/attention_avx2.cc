// Attention over stored keys and values in AVX2; kernels/simd/attention.h.
#include "kernels/simd/attention.h"
#include "kernels/simd/avx2.h"

namespace esparse {

extern const AttentionKernels kAvx2AttentionKernels;
const AttentionKernels kAvx2AttentionKernels = {"avx2", simd::Attention<simd::Avx2>::attend,
                                                simd::Attention<simd::Avx2>::softmax_step,
                                                simd::Attention<simd::Avx2>::narrow};

}  // namespace esparse

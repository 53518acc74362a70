// Dense rows times a few tokens in AVX-512; kernels/simd/few_dense.h.
#include "kernels/simd/avx512.h"
#include "kernels/simd/few_dense.h"

namespace esparse {

extern const DenseKernels kAvx512DenseKernels;
const DenseKernels kAvx512DenseKernels = {"avx512", simd::FewDense<simd::Avx512>::multiply};

}  // namespace esparse

// Dense rows times a few tokens in AVX2; kernels/simd/few_dense.h.
#include "kernels/simd/avx2.h"
#include "kernels/simd/few_dense.h"

namespace esparse {

extern const DenseKernels kAvx2DenseKernels;
const DenseKernels kAvx2DenseKernels = {"avx2", simd::FewDense<simd::Avx2>::multiply};

}  // namespace esparse

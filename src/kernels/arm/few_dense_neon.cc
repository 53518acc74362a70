// Dense rows times a few tokens in NEON; kernels/simd/few_dense.h.
#include "kernels/simd/few_dense.h"
#include "kernels/simd/neon.h"

namespace esparse {

extern const DenseKernels kNeonDenseKernels;
const DenseKernels kNeonDenseKernels = {"neon", simd::FewDense<simd::Neon>::multiply};

}  // namespace esparse

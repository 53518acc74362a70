// Dense rows times a few tokens in plain C++; kernels/simd/few_dense.h.
#include "kernels/simd/emulated.h"
#include "kernels/simd/few_dense.h"

namespace esparse {

const DenseKernels kPortableDenseKernels = {"portable", simd::FewDense<simd::Emulated<8>>::multiply};

}  // namespace esparse

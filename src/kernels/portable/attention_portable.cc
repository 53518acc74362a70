// Attention over stored keys and values in plain C++; kernels/simd/attention.h.
#include "kernels/simd/attention.h"
#include "kernels/simd/emulated.h"

namespace esparse {
namespace {
using Kernels = simd::Attention<simd::Emulated<8>>;
}  // namespace

const AttentionKernels kPortableAttentionKernels = {"portable", Kernels::attend, Kernels::softmax_step,
                                                    Kernels::narrow};

}  // namespace esparse

// Attention over stored keys and values in NEON; kernels/simd/attention.h.
#include "kernels/simd/attention.h"
#include "kernels/simd/neon.h"

namespace esparse {
namespace {
using Kernels = simd::Attention<simd::Neon>;
}  // namespace

extern const AttentionKernels kNeonAttentionKernels;
const AttentionKernels kNeonAttentionKernels = {"neon", Kernels::attend, Kernels::softmax_step, Kernels::narrow};

}  // namespace esparse

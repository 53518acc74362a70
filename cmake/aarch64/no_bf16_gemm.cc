// Stands in for kernels/bf16_gemm.cc, which needs oneDNN.
#include "kernels/bf16_gemm.h"

namespace esparse {

bool has_bf16_gemm() { return false; }
bool bf16_gemm(const WeightView&, MatrixView<const float>, std::span<const float>, MatrixView<float>) { return false; }

}  // namespace esparse

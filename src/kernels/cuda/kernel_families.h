// All families of kernels: structs of function pointers, each declared in a header beside its .cu file.
#pragma once

namespace esparse::cuda {

struct AttentionKernels;
struct ElementwiseKernels;
struct FewBitsKernels;
struct FewLinearKernels;
struct HeadKernels;
struct LinearPartsKernels;
struct ObsKernels;
struct PrefillLinearKernels;
struct ShuffleKernels;
struct StatisticsKernels;
struct TokenKernels;

struct KernelFamilies {
  const AttentionKernels* attention = nullptr;
  const ElementwiseKernels* elementwise = nullptr;
  const FewBitsKernels* few_bits = nullptr;
  const FewLinearKernels* few_linear = nullptr;
  const HeadKernels* heads = nullptr;
  const LinearPartsKernels* linear_parts = nullptr;
  const ObsKernels* obs = nullptr;
  const PrefillLinearKernels* prefill_linear = nullptr;
  const ShuffleKernels* shuffle = nullptr;
  const StatisticsKernels* statistics = nullptr;
  const TokenKernels* tokens = nullptr;
};

}  // namespace esparse::cuda

#include "kernels/simd_probe.h"

namespace esparse::testing_support {

extern const SimdProbe kAvx2Probe, kAvx512Probe, kAvx512Bf16Probe;

std::span<const SimdProbe> native_simd_types() {
  static const SimdProbe types[] = {kAvx2Probe, kAvx512Probe, kAvx512Bf16Probe};
  return types;
}

}  // namespace esparse::testing_support

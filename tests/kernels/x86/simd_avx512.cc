#include "kernels/simd/avx512.h"

#include "kernels/simd_probe.h"

namespace esparse::testing_support {

extern const SimdProbe kAvx512Probe, kAvx512Bf16Probe;
const SimdProbe kAvx512Probe = {"Avx512", Isa::avx512, simd::Avx512::kLanes, probe<simd::Avx512>};
const SimdProbe kAvx512Bf16Probe = {"Avx512Bf16", Isa::avx512_bf16, simd::Avx512Bf16::kLanes, probe<simd::Avx512Bf16>};

}  // namespace esparse::testing_support

#include "kernels/simd/avx2.h"

#include "kernels/simd_probe.h"

namespace esparse::testing_support {

extern const SimdProbe kAvx2Probe;
const SimdProbe kAvx2Probe = {"Avx2", Isa::avx2, simd::Avx2::kLanes, probe<simd::Avx2>};

}  // namespace esparse::testing_support

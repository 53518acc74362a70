#include "kernels/simd/neon.h"
#include "kernels/simd_probe.h"

namespace esparse::testing_support {

std::span<const SimdProbe> native_simd_types() {
  static const SimdProbe types[] = {{"Neon", Isa::neon, simd::Neon::kLanes, probe<simd::Neon>}};
  return types;
}

}  // namespace esparse::testing_support

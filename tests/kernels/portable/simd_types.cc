#include "kernels/simd_probe.h"

namespace esparse::testing_support {

std::span<const SimdProbe> native_simd_types() { return {}; }

}  // namespace esparse::testing_support

#include "kernels/cpu_features.h"

namespace esparse {

bool cpu_has(Isa isa) { return isa == Isa::portable || isa == Isa::neon; }  // every AArch64 processor has NEON

}  // namespace esparse

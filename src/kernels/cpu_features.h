// What the processor can do. Compiled without special instructions, so that asking is safe anywhere.
#pragma once

#include "kernels/isa.h"

namespace esparse {

bool cpu_has(Isa isa);

}  // namespace esparse

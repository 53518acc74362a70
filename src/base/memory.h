// How much memory this process takes and this machine has, in bytes, as the kernel counts it.
#pragma once

#include <cstdint>

namespace esparse {

// Pages of this process that are in memory now (VmRSS): its own, and those of mapped files that it has touched and not
// released. 0 where the kernel does not say.
int64_t current_resident_bytes();

// The largest value that current_resident_bytes() has had since the program started (VmHWM). Without /proc it is
// getrusage's, which counts what ran in this process before exec() too.
int64_t peak_resident_bytes();

// The machine's memory, or the limit of the control group this process is in where that is lower; 0 if unknown.
int64_t physical_memory_bytes();

}  // namespace esparse

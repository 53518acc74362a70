// Which processor this is, for results and for what is kept from one run to the next.
#pragma once

#include <cstdint>
#include <string>

namespace esparse {

// "AMD EPYC 7763 64-Core Processor", as the kernel names it; "unknown" where it does not.
std::string cpu_model_name();

// The largest cache of the first core; 32 MiB where the kernel does not say.
int64_t last_level_cache_bytes();

}  // namespace esparse

// Numbers of bytes as people write them: "8GiB", "1.5GB", "4096".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace esparse {

// A whole or decimal number and a unit: none or B, KB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB or K, M, G, T
// (powers of 1024), in any case, with spaces between them or not. Fractions of a byte are dropped. Refuses signs,
// exponents, anything else, and 2^63 bytes and more.
Result<int64_t> parse_bytes(std::string_view text);

// "0 B", "999 B", "1.50 GiB": the largest of B, KiB, MiB, GiB, TiB that the number fills, three digits or more.
std::string format_bytes(int64_t bytes);

}  // namespace esparse

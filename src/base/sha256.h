// SHA-256, for texts that people compare with what others measured on (sha256sum prints the same).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace esparse {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> bytes);
inline std::string sha256_hex(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

}  // namespace esparse

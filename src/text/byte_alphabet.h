// The GPT-2 alphabet: every byte as a visible character, so that a vocabulary of strings can hold any bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace esparse {

std::string to_byte_alphabet(std::string_view bytes);

// Nothing when a character is not of the alphabet. `text` must be valid UTF-8.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace esparse

// "a,b,c" -> a, b, c.
#pragma once

#include <string_view>
#include <vector>

namespace esparse {

// Never empty; pieces may be.
inline std::vector<std::string_view> split_at_commas(std::string_view text) {
  std::vector<std::string_view> pieces;
  while (true) {
    const size_t comma = text.find(',');
    pieces.push_back(text.substr(0, comma));
    if (comma == text.npos) return pieces;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace esparse

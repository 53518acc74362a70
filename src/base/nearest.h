// "Did you mean ...?" for names that people type.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace esparse {

// The candidate that the fewest single-character changes (insert, remove, replace, exchange of neighbours) turn `word`
// into, the first of several; empty where that takes more than a third of its letters, at least one, or three changes.
std::string nearest_name(std::string_view word, std::span<const std::string> candidates);

// " (did you mean X?)", or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace esparse

// Cutting a text at matches, with what happens to the matched parts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/piece.h"
#include "text/regex.h"

namespace esparse {

// For "-" in "a--b": "a" "b" | "a" "-" "-" "b" | "a-" "-" "b" | "a" "-" "-b" | "a" "--" "b".
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

Result<SplitBehavior> parse_split_behavior(const std::string& name, const std::string& label);

// The parts of a text of `size` bytes, none of them empty. With `invert` the matches are what lies between `matches`.
std::vector<TextSpan> split_spans(size_t size, const std::vector<TextSpan>& matches, SplitBehavior behavior,
                                  bool invert);

// Appends those parts of `piece`.
void append_split(const Piece& piece, const std::vector<TextSpan>& spans, std::vector<Piece>& out);

}  // namespace esparse

// What standard output can show: its width, and whether colours make sense there.
#pragma once

#include <string>
#include <string_view>

namespace esparse {

struct Terminal {
  int width = 0;        // columns; 0: no limit
  bool colour = false;  // escape sequences are understood and wanted
};

// A terminal has a width (that of $COLUMNS where it is set, else what the system says) and colours, unless NO_COLOR is
// set and not empty (https://no-color.org) or TERM is "dumb". A file or a pipe has neither.
Terminal standard_output();

enum class Style { plain, heading, faint, good, bad };

// `text` in that style where the terminal shows colours.
std::string styled(std::string_view text, Style style, const Terminal& terminal);

}  // namespace esparse

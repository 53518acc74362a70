// What the page of a report looks like, and the few lines of script it has.
#pragma once

namespace esparse {

extern const char* const kPageStyle;   // the style sheet
extern const char* const kPageScript;  // makes the download link
}  // namespace esparse

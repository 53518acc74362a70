#include "report/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace esparse {
namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

int columns() {
  if (const int given = std::atoi(std::string(variable("COLUMNS")).c_str()); given > 0) return given;
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace

Terminal standard_output() {
  if (isatty(STDOUT_FILENO) == 0) return {};
  return {columns(), variable("NO_COLOR").empty() && variable("TERM") != "dumb"};
}

std::string styled(std::string_view text, Style style, const Terminal& terminal) {
  const char* code = "";
  switch (style) {
    case Style::plain:
      break;
    case Style::heading:
      code = "1";
      break;
    case Style::faint:
      code = "2";
      break;
    case Style::good:
      code = "32";
      break;
    case Style::bad:
      code = "31";
      break;
  }
  if (!terminal.colour || *code == '\0') return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

}  // namespace esparse

#include "cli/help.h"

#include <algorithm>

#include <fmt/format.h>

#include "report/table.h"

namespace esparse {
namespace {

constexpr int kPageColumns = 110;  // where nobody says how wide the page is

}  // namespace

std::string HelpPage::make_option_desc(const CLI::Option* option) const {
  const int width = standard_output().width;
  const auto columns = static_cast<int>(get_column_width());
  const int room = std::max((width > 0 ? width : kPageColumns) - columns, 24);
  std::string wrapped;
  for (const std::string& line : CLI::detail::split(CLI::Formatter::make_option_desc(option), '\n'))
    for (const std::string& part : wrap_words(line, static_cast<size_t>(room)))
      wrapped += (wrapped.empty() ? "" : "\n") + part;
  return wrapped;
}

}  // namespace esparse

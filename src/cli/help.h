// Help pages that fit the terminal.
#pragma once

#include <CLI/CLI.hpp>

namespace esparse {

// CLI11's pages with the descriptions of options wrapped: to the terminal, or to 110 columns in a file or a pipe.
class HelpPage : public CLI::Formatter {
 public:
  std::string make_option_desc(const CLI::Option* option) const override;
};

}  // namespace esparse

// Tables for people, the same for all commands: aligned columns, numbers to the right, as wide as the terminal.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report/terminal.h"

namespace esparse {

struct Cell {
  Cell(std::string text_in, Style style_in = Style::plain) : text(std::move(text_in)), style(style_in) {}  // NOLINT
  Cell(const char* text_in) : text(text_in) {}                                                             // NOLINT

  std::string text;
  Style style = Style::plain;
};

class Table {
 public:
  // Headings name the unit where there is one: "bits/byte", "acc, %".
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}

  void add_row(std::vector<Cell> cells);
  void add_rule() { rows_.emplace_back(); }

  // For standard output as it is: in a file or a pipe one line a row, however wide.
  std::string text() const { return text(standard_output()); }
  // Lines ending in '\n'. A column whose every cell begins with a digit, sign or '-' is right-aligned. Widths count
  // UTF-8 code points. Where a row does not fit into the terminal: a last column of words is wrapped if it keeps 24
  // columns; else a single row is turned into lines of heading and value; else the columns are shown in several parts
  // one below the other, each beginning with the first column.
  std::string text(const Terminal& terminal) const;

 private:
  struct Layout;
  Layout layout() const;
  std::string part(const Layout& layout, const std::vector<size_t>& columns, const Terminal& terminal) const;
  std::string as_list(const Terminal& terminal) const;
  std::string wrapped(const Layout& layout, size_t last_width, const Terminal& terminal) const;

  std::vector<std::string> headings_;
  std::vector<std::vector<Cell>> rows_;  // an empty row is a rule
};

// Lines of at most `width` code points, broken at spaces where there are any.
std::vector<std::string> wrap_words(const std::string& text, size_t width);

// "1,234,567".
std::string format_count(int64_t count);

}  // namespace esparse

// Tables for people: aligned columns, numbers to the right.
#pragma once

#include <string>
#include <vector>

namespace esparse {

class Table {
 public:
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}

  void add_row(std::vector<std::string> cells);
  void add_rule() { rows_.emplace_back(); }
  // Lines ending in '\n'. A column whose every cell begins with a digit, sign or '-' is right-aligned. Widths count
  // UTF-8 code points.
  std::string text() const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
};

// "1,234,567".
std::string format_count(int64_t count);

}  // namespace esparse

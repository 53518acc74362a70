#include "report/table.h"

#include <algorithm>
#include <cctype>

namespace esparse {
namespace {

size_t display_width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool looks_numeric(const std::string& cell) {
  return cell.empty() || std::isdigit(static_cast<unsigned char>(cell[0])) != 0 || cell[0] == '-' || cell[0] == '+';
}

}  // namespace

void Table::add_row(std::vector<std::string> cells) {
  cells.resize(headings_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<size_t> widths;
  std::vector<bool> numeric(headings_.size(), true);
  for (size_t column = 0; column < headings_.size(); ++column) {
    widths.push_back(display_width(headings_[column]));
    for (const auto& row : rows_) {
      if (row.empty()) continue;
      widths[column] = std::max(widths[column], display_width(row[column]));
      numeric[column] = numeric[column] && looks_numeric(row[column]);
    }
  }
  std::string result;
  auto append = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t column = 0; column < cells.size(); ++column) {
      const std::string padding(widths[column] - display_width(cells[column]), ' ');
      if (column > 0) line += "  ";
      line += numeric[column] ? padding + cells[column] : cells[column] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + "\n";
  };
  size_t total = 2 * (widths.size() - 1);
  for (size_t width : widths) total += width;
  append(headings_);
  result += std::string(total, '-') + "\n";
  for (const auto& row : rows_) row.empty() ? void(result += std::string(total, '-') + "\n") : append(row);
  return result;
}

std::string format_count(int64_t count) {
  std::string digits = std::to_string(count);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > (count < 0 ? 1 : 0); at -= 3) digits.insert(at, ",");
  return digits;
}

}  // namespace esparse

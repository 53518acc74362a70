#include "report/table.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace esparse {
namespace {

constexpr size_t kGap = 2;             // spaces between two columns
constexpr size_t kNarrowestText = 24;  // columns that a wrapped last column must keep to be readable

size_t display_width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool looks_numeric(const std::string& cell) {
  return cell.empty() || std::isdigit(static_cast<unsigned char>(cell[0])) != 0 || cell[0] == '-' || cell[0] == '+';
}

void end_line(std::string& text) {
  text.erase(text.find_last_not_of(' ') + 1);
  text += '\n';
}

std::string rule(size_t width, const Terminal& terminal) {
  return styled(std::string(width, '-'), Style::faint, terminal) + "\n";
}

}  // namespace

struct Table::Layout {
  std::vector<size_t> widths;
  std::vector<bool> numeric;

  size_t total(const std::vector<size_t>& columns) const {
    size_t sum = kGap * (columns.size() - 1);
    for (size_t column : columns) sum += widths[column];
    return sum;
  }
  std::string cell(size_t column, std::string_view text, Style style, const Terminal& terminal) const {
    const std::string padding(widths[column] - display_width(text), ' ');
    const std::string shown = styled(text, style, terminal);
    return numeric[column] ? padding + shown : shown + padding;
  }
};

void Table::add_row(std::vector<Cell> cells) {
  cells.resize(headings_.size(), Cell(""));
  rows_.push_back(std::move(cells));
}

Table::Layout Table::layout() const {
  Layout layout;
  for (size_t column = 0; column < headings_.size(); ++column) {
    size_t width = display_width(headings_[column]);
    bool numeric = true;
    for (const auto& row : rows_) {
      if (row.empty()) continue;
      width = std::max(width, display_width(row[column].text));
      numeric = numeric && looks_numeric(row[column].text);
    }
    layout.widths.push_back(width);
    layout.numeric.push_back(numeric);
  }
  return layout;
}

std::string Table::part(const Layout& layout, const std::vector<size_t>& columns, const Terminal& terminal) const {
  std::string text;
  const auto append = [&](auto&& cell_of) {
    for (size_t i = 0; i < columns.size(); ++i) {
      const auto& [content, style] = cell_of(columns[i]);
      text += (i == 0 ? "" : std::string(kGap, ' ')) + layout.cell(columns[i], content, style, terminal);
    }
    end_line(text);
  };
  append([&](size_t column) { return std::pair<std::string, Style>(headings_[column], Style::heading); });
  text += rule(layout.total(columns), terminal);
  for (const auto& row : rows_) {
    if (row.empty()) {
      text += rule(layout.total(columns), terminal);
    } else {
      append([&](size_t column) { return std::pair<std::string, Style>(row[column].text, row[column].style); });
    }
  }
  return text;
}

std::string Table::as_list(const Terminal& terminal) const {
  size_t names = 0;
  for (const std::string& heading : headings_) names = std::max(names, display_width(heading));
  std::string text;
  for (const auto& row : rows_) {
    if (row.empty()) continue;
    for (size_t column = 0; column < headings_.size(); ++column)
      text += styled(headings_[column], Style::heading, terminal) +
              std::string(names - display_width(headings_[column]) + kGap, ' ') +
              styled(row[column].text, row[column].style, terminal) + "\n";
  }
  return text;
}

std::string Table::wrapped(const Layout& layout, size_t last_width, const Terminal& terminal) const {
  Table narrow(headings_);
  const size_t last = headings_.size() - 1;
  for (const auto& row : rows_) {
    if (row.empty()) {
      narrow.add_rule();
      continue;
    }
    std::vector<Cell> cells = row;
    for (const std::string& line : wrap_words(row[last].text, last_width)) {
      cells[last].text = line;
      narrow.add_row(cells);
      for (size_t column = 0; column < last; ++column) cells[column].text.clear();
    }
  }
  std::vector<size_t> all(headings_.size());
  std::iota(all.begin(), all.end(), size_t{0});
  Layout fitted = layout;
  fitted.widths[last] = std::max(last_width, display_width(headings_[last]));
  return narrow.part(fitted, all, terminal);
}

std::string Table::text(const Terminal& terminal) const {
  const Layout layout = this->layout();
  std::vector<size_t> all(headings_.size());
  std::iota(all.begin(), all.end(), size_t{0});
  const auto width = static_cast<size_t>(terminal.width);
  if (terminal.width <= 0 || layout.total(all) <= width) return part(layout, all, terminal);

  const size_t last = all.back(), others = layout.total(all) - layout.widths[last];
  if (!layout.numeric[last] && others + std::max(kNarrowestText, display_width(headings_[last])) <= width)
    return wrapped(layout, width - others, terminal);
  if (rows_.size() == 1) return as_list(terminal);

  std::string text;
  std::vector<size_t> columns = {0};
  for (size_t column = 1; column < headings_.size(); ++column) {
    columns.push_back(column);
    if (columns.size() > 2 && layout.total(columns) > width) {
      columns.pop_back();
      text += part(layout, columns, terminal) + "\n";
      columns = {0, column};
    }
  }
  return text + part(layout, columns, terminal);
}

std::vector<std::string> wrap_words(const std::string& text, size_t width) {
  std::vector<std::string> lines;
  std::string_view rest = text;
  while (display_width(rest) > width) {
    size_t end = 0;  // bytes of the first `width` characters
    for (size_t characters = 0; end < rest.size(); ++end)
      if ((rest[end] & 0xc0) != 0x80 && characters++ == width) break;
    const size_t space = rest.substr(0, end + 1).rfind(' ');
    if (space != std::string_view::npos && space > 0) end = space;
    lines.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end);
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  }
  lines.emplace_back(rest);
  return lines;
}

std::string format_count(int64_t count) {
  std::string digits = std::to_string(count);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > (count < 0 ? 1 : 0); at -= 3) digits.insert(at, ",");
  return digits;
}

}  // namespace esparse

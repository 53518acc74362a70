// Small drawings in SVG: shapes with a class for the style sheet of the page, and the scales of plots.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace esparse {

// For text and attributes of HTML and SVG.
std::string escape_html(std::string_view text);

// A number as short as a plot needs it: "0.25", "1200", "1.2k".
std::string short_number(double value);

class Svg {
 public:
  // A drawing of so many units, scaled to the page; `label` says what it shows, for those who cannot see it.
  Svg(double width, double height, std::string_view label);

  // `title` appears when pointed at; empty: none.
  void rect(double x, double y, double width, double height, std::string_view css, std::string_view title = "");
  void circle(double x, double y, double radius, std::string_view css, std::string_view title = "");
  void line(double x1, double y1, double x2, double y2, std::string_view css);
  // data as in the attribute `d`.
  void path(std::string_view data, std::string_view css, double opacity = 1);
  // anchor: "start", "middle", "end".
  void text(double x, double y, std::string_view content, std::string_view css, std::string_view anchor = "start");
  // Upwards, for the name of a vertical axis.
  void vertical_text(double x, double y, std::string_view content, std::string_view css);

  std::string str() const { return text_ + "</svg>"; }

 private:
  std::string text_;
};

// Where a value stands on an axis of `from` to `to` units.
class Scale {
 public:
  // Covers all values with a little room; at least one value, positive ones where it is logarithmic.
  static Scale around(const std::vector<double>& values, bool logarithmic = false);
  static Scale from_zero(double largest);

  Scale onto(double from, double to) const;
  double operator()(double value) const;
  // Round values on the axis, about `count` of them.
  std::vector<double> ticks(int count) const;

 private:
  double low_ = 0, high_ = 1, from_ = 0, to_ = 1;
  bool logarithmic_ = false;
};

}  // namespace esparse

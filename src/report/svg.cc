#include "report/svg.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace esparse {
namespace {

std::string title_of(std::string_view title) {
  return title.empty() ? "" : fmt::format("<title>{}</title>", escape_html(title));
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += static_cast<unsigned char>(c) < ' ' && c != '\n' ? ' ' : c;
    }
  }
  return escaped;
}

std::string short_number(double value) {
  const double size = std::abs(value);
  if (size >= 1e9) return fmt::format("{:.3g}G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:.3g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.3g}k", value / 1e3);
  return fmt::format("{:.3g}", size < 1e-12 ? 0.0 : value);
}

Svg::Svg(double width, double height, std::string_view label)
    : text_(fmt::format("<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\">", width, height,
                        escape_html(label))) {}

void Svg::rect(double x, double y, double width, double height, std::string_view css, std::string_view title) {
  text_ += fmt::format("<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" class=\"{}\">{}</rect>", x,
                       y, width, height, css, title_of(title));
}

void Svg::circle(double x, double y, double radius, std::string_view css, std::string_view title) {
  text_ += fmt::format("<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"{:g}\" class=\"{}\">{}</circle>", x, y, radius, css,
                       title_of(title));
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view css) {
  text_ +=
      fmt::format("<line x1=\"{:.2f}\" y1=\"{:.2f}\" x2=\"{:.2f}\" y2=\"{:.2f}\" class=\"{}\"/>", x1, y1, x2, y2, css);
}

void Svg::path(std::string_view data, std::string_view css, double opacity) {
  text_ += fmt::format("<path d=\"{}\" class=\"{}\"", data, css);
  text_ += opacity < 1 ? fmt::format(" opacity=\"{:.3g}\"/>", opacity) : "/>";
}

void Svg::text(double x, double y, std::string_view content, std::string_view css, std::string_view anchor) {
  text_ += fmt::format("<text x=\"{:.2f}\" y=\"{:.2f}\" class=\"{}\" text-anchor=\"{}\">{}</text>", x, y, css, anchor,
                       escape_html(content));
}

void Svg::vertical_text(double x, double y, std::string_view content, std::string_view css) {
  text_ += fmt::format(
      "<text transform=\"translate({:.2f} {:.2f}) rotate(-90)\" class=\"{}\" text-anchor=\"middle\">{}</text>", x, y,
      css, escape_html(content));
}

Scale Scale::around(const std::vector<double>& values, bool logarithmic) {
  Scale scale;
  scale.logarithmic_ = logarithmic;
  const auto [lowest, highest] = std::ranges::minmax(values);
  if (logarithmic) {
    const double room = std::max(std::log(highest / lowest) * 0.06, 0.02);
    scale.low_ = lowest * std::exp(-room);
    scale.high_ = highest * std::exp(room);
  } else {
    const double room = std::max((highest - lowest) * 0.08, std::abs(highest) * 1e-3 + 1e-9);
    scale.low_ = lowest - room;
    scale.high_ = highest + room;
  }
  return scale;
}

Scale Scale::from_zero(double largest) {
  Scale scale;
  scale.high_ = largest > 0 ? largest * 1.06 : 1;
  return scale;
}

Scale Scale::onto(double from, double to) const {
  Scale placed = *this;
  placed.from_ = from;
  placed.to_ = to;
  return placed;
}

double Scale::operator()(double value) const {
  const double share = logarithmic_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

std::vector<double> Scale::ticks(int count) const {
  std::vector<double> values;
  if (logarithmic_ && high_ / low_ > 20) {
    for (double power = std::pow(10, std::ceil(std::log10(low_))); power <= high_; power *= 10) values.push_back(power);
    if (values.size() >= 2) return values;
    values.clear();
  }
  const double rough = (high_ - low_) / count, power = std::pow(10, std::floor(std::log10(rough)));
  double step = power;
  for (const double factor : {1.0, 2.0, 5.0, 10.0})
    if (power * factor <= rough * 1.5) step = power * factor;
  for (double value = std::ceil(low_ / step) * step; value <= high_ + step * 1e-9; value += step)
    values.push_back(value);
  return values;
}

}  // namespace esparse

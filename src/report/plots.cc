#include "report/plots.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "report/plot_frame.h"
#include "report/svg.h"

namespace esparse {
namespace {

constexpr double kBarWidth = 960, kBarHeight = 260;

// At least as good in both directions and better in one.
bool beats(const PlotAxes& axes, const PlotPoint& a, const PlotPoint& b) {
  const double x = axes.lower_is_better_x ? b.x - a.x : a.x - b.x, y = b.y - a.y;
  return x >= 0 && y >= 0 && (x > 0 || y > 0);
}

std::vector<double> values_of(const std::vector<PlotPoint>& points, double PlotPoint::*part) {
  std::vector<double> values;
  for (const PlotPoint& point : points) values.push_back(point.*part);
  return values;
}

// Labels keep out of each other's way: each looks for a free place around its point.
class Labels {
 public:
  explicit Labels(const PlotFrame& frame) : frame_(frame) {}

  void block(double x, double y) { taken_.push_back({x - 5, y - 5, x + 5, y + 5}); }

  void place(Svg& svg, double x, double y, const std::string& name) {
    const double width = 7.4 * static_cast<double>(name.size()), height = 14;  // the font of a phone
    for (const auto& [dx, dy, anchor] : {std::tuple{9.0, 4.0, "start"},
                                         {-9.0, 4.0, "end"},
                                         {0.0, -10.0, "middle"},
                                         {0.0, 20.0, "middle"},
                                         {9.0, -9.0, "start"},
                                         {-9.0, -9.0, "end"},
                                         {9.0, 17.0, "start"},
                                         {-9.0, 17.0, "end"},
                                         {9.0, 30.0, "start"},
                                         {9.0, -22.0, "start"}}) {
      const std::string_view where = anchor;
      const double left = x + dx - (where == "end" ? width : where == "middle" ? width / 2 : 0);
      const Box box{left, y + dy - height + 3, left + width, y + dy + 3};
      const bool inside = box.left >= frame_.left && box.right <= frame_.right + 12 && box.top >= frame_.top - 8;
      if (!inside || std::ranges::any_of(taken_, [&](const Box& other) { return box.meets(other); })) continue;
      taken_.push_back(box);
      svg.text(x + dx, y + dy, name, "name", where);
      return;
    }
  }

 private:
  struct Box {
    double left, top, right, bottom;
    bool meets(const Box& other) const {
      return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
    }
  };
  const PlotFrame& frame_;
  std::vector<Box> taken_;
};

}  // namespace

std::vector<size_t> pareto_front(const PlotAxes& axes, const std::vector<PlotPoint>& points) {
  std::vector<size_t> front;
  for (size_t i = 0; i < points.size(); ++i)
    if (std::ranges::none_of(points, [&](const PlotPoint& other) { return beats(axes, other, points[i]); }))
      front.push_back(i);
  std::ranges::sort(front, {}, [&](size_t i) { return std::pair(points[i].x, points[i].y); });
  return front;
}

std::string front_plot(const PlotAxes& axes, const std::vector<PlotPoint>& points) {
  PlotFrame frame;
  Svg svg(frame.width, frame.height, axes.title);
  const Scale x = Scale::around(values_of(points, &PlotPoint::x)).onto(frame.left, frame.right);
  const Scale y = Scale::around(values_of(points, &PlotPoint::y), axes.log_y).onto(frame.bottom, frame.top);
  draw_frame(svg, frame, x, y, axes.x, axes.y);
  const std::vector<size_t> front = pareto_front(axes, points);
  std::string line;
  for (size_t i : front)
    line += fmt::format("{}{:.2f} {:.2f}", line.empty() ? "M" : "L", x(points[i].x), y(points[i].y));
  svg.path(line, "front");
  Labels labels(frame);
  for (const PlotPoint& point : points) labels.block(x(point.x), y(point.y));
  for (size_t i = 0; i < points.size(); ++i) {
    const bool best = std::ranges::find(front, i) != front.end();
    svg.circle(x(points[i].x), y(points[i].y), 5,
               points[i].is_reference ? "reference"
               : best                 ? "best"
                                      : "beaten",
               fmt::format("{}: {} {}, {} {}", points[i].name, axes.x, short_number(points[i].x), axes.y,
                           short_number(points[i].y)));
    labels.place(svg, x(points[i].x), y(points[i].y), points[i].name);
  }
  return svg.str();
}

std::string bar_plot(const PlotAxes& axes, const std::vector<Bar>& bars) {
  const PlotFrame frame{.width = kBarWidth,
                        .height = kBarHeight,
                        .left = 58,
                        .right = kBarWidth - 8,
                        .top = 12,
                        .bottom = kBarHeight - 40};
  double largest = 0;
  for (const Bar& bar : bars) largest = std::max({largest, bar.value, bar.other});
  Svg svg(frame.width, frame.height, axes.title);
  const Scale y = Scale::from_zero(largest).onto(frame.bottom, frame.top);
  draw_rows(svg, frame, y, axes.y);
  const double pitch = (frame.right - frame.left) / static_cast<double>(bars.size());
  double group_start = frame.left;
  for (size_t i = 0; i < bars.size(); ++i) {
    const Bar& bar = bars[i];
    const double left = frame.left + pitch * static_cast<double>(i), width = std::max(pitch * 0.78, 0.5);
    std::string title = fmt::format("{}: {}", bar.name, short_number(bar.value));
    if (bar.other >= 0) title += fmt::format(" (by magnitude {})", short_number(bar.other));
    svg.rect(left + pitch * 0.11, y(bar.value), width, frame.bottom - y(bar.value), fmt::format("c{}", bar.colour % 7),
             title);
    if (bar.other >= 0) svg.line(left + pitch * 0.05, y(bar.other), left + pitch * 0.95, y(bar.other), "mark");
    const bool last = i + 1 == bars.size() || bars[i + 1].group != bar.group;
    if (!last) continue;
    if (i + 1 < bars.size()) svg.line(left + pitch, frame.top, left + pitch, frame.bottom, "grid");
    svg.text((group_start + left + pitch) / 2, frame.bottom + 16, bar.group, "tick", "middle");
    group_start = left + pitch;
  }
  svg.text((frame.left + frame.right) / 2, frame.height - 6, axes.x, "axis", "middle");
  return svg.str();
}

}  // namespace esparse

#include "report/plot_frame.h"

namespace esparse {

void draw_rows(Svg& svg, const PlotFrame& frame, const Scale& y, std::string_view y_name) {
  for (double tick : y.ticks(5)) {
    svg.line(frame.left, y(tick), frame.right, y(tick), "grid");
    svg.text(frame.left - 6, y(tick) + 4, short_number(tick), "tick", "end");
  }
  svg.line(frame.left, frame.bottom, frame.right, frame.bottom, "base");
  svg.vertical_text(13, (frame.top + frame.bottom) / 2, y_name, "axis");
}

void draw_frame(Svg& svg, const PlotFrame& frame, const Scale& x, const Scale& y, std::string_view x_name,
                std::string_view y_name) {
  for (double tick : x.ticks(5)) {
    svg.line(x(tick), frame.top, x(tick), frame.bottom, "grid");
    svg.text(x(tick), frame.bottom + 16, short_number(tick), "tick", "middle");
  }
  draw_rows(svg, frame, y, y_name);
  svg.text((frame.left + frame.right) / 2, frame.bottom + 36, x_name, "axis", "middle");
}

}  // namespace esparse

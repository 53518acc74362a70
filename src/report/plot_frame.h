// Axes, grid and names that the plots of a report share.
#pragma once

#include <string_view>

#include "report/svg.h"

namespace esparse {

// Where the drawing stands in its picture. 480 units are a column of the page, and still readable on a phone.
struct PlotFrame {
  double width = 480, height = 320;
  double left = 58, right = 466, top = 14, bottom = 272;
};

// Grid and ticks of both axes with their names.
void draw_frame(Svg& svg, const PlotFrame& frame, const Scale& x, const Scale& y, std::string_view x_name,
                std::string_view y_name);
// Of the vertical axis alone.
void draw_rows(Svg& svg, const PlotFrame& frame, const Scale& y, std::string_view y_name);

}  // namespace esparse

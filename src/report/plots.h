// The plots of a report, each one SVG drawing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "prune/layer_figures.h"

namespace esparse {

struct PlotPoint {
  std::string name;
  double x = 0, y = 0;
  bool is_reference = false;  // the dense model
};

struct PlotAxes {
  std::string title, x, y;        // what it shows; names of the axes, units included
  bool lower_is_better_x = true;  // of y it always is
  bool log_y = false;
};

// Points with their names; those that no other point beats in both directions are joined by a line (Pareto front).
std::string front_plot(const PlotAxes& axes, const std::vector<PlotPoint>& points);
// Indices of the front, by ascending x.
std::vector<size_t> pareto_front(const PlotAxes& axes, const std::vector<PlotPoint>& points);

struct Bar {
  std::string name;   // of the linear
  std::string group;  // its block
  double value = 0;
  double other = -1;  // a second value, drawn as a mark; below 0: none
  int colour = 0;     // 0 to 6: which linear of its block
};
// A bar a linear, block after block.
std::string bar_plot(const PlotAxes& axes, const std::vector<Bar>& bars);

// Every channel by the norm and the entropy of its inputs; the richest and the poorest are marked.
std::string channel_plot(const LayerFigures& figures);
std::string histogram_plot(const ActivationHistogram& histogram, std::string_view title, int colour);
// Saliency of a piece of the matrix: kept weights in one colour, lost ones in the other, stronger where they matter
// more.
std::string saliency_plot(const SaliencyPiece& piece, int64_t group, std::string_view title);
// Only which weights survived.
std::string mask_plot(const SaliencyPiece& piece, int64_t group, std::string_view title);
// Mean saliency of the groups, descending, before and after the shuffle.
std::string group_plot(const LayerFigures& figures);

}  // namespace esparse

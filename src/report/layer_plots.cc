// Plots of what happens inside one linear.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "report/plot_frame.h"
#include "report/plots.h"
#include "report/svg.h"

namespace esparse {
namespace {

constexpr double kCell = 10;  // units of a cell of a matrix

// One path for all cells for which `chosen` says so.
template <typename Chosen>
std::string cells(const SaliencyPiece& piece, Chosen&& chosen) {
  std::string data;
  for (size_t row = 0; row < piece.levels.size(); ++row)
    for (size_t column = 0; column < piece.channels.size(); ++column)
      if (chosen(row, column))
        data += fmt::format("M{} {}h9v9h-9z", static_cast<int>(kCell) * static_cast<int>(column),
                            static_cast<int>(kCell) * static_cast<int>(row));
  return data;
}

void draw_group_lines(Svg& svg, const SaliencyPiece& piece, int64_t group) {
  if (group < 2) return;
  const double height = kCell * static_cast<double>(piece.levels.size());
  for (int64_t column = group; column < std::ssize(piece.channels); column += group)
    svg.line(kCell * static_cast<double>(column) - 0.5, -4, kCell * static_cast<double>(column) - 0.5, height, "group");
}

Svg matrix(const SaliencyPiece& piece, std::string_view title) {
  return {kCell * static_cast<double>(piece.channels.size()), kCell * static_cast<double>(piece.levels.size()), title};
}

}  // namespace

std::string saliency_plot(const SaliencyPiece& piece, int64_t group, std::string_view title) {
  Svg svg = matrix(piece, title);
  for (int level = 1; level < kSaliencyLevels; ++level)
    for (const bool kept : {true, false})
      if (const std::string data = cells(piece,
                                         [&](size_t row, size_t column) {
                                           return piece.levels[row][column] == level && piece.kept[row][column] == kept;
                                         });
          !data.empty())
        svg.path(data, kept ? "kept" : "lost", static_cast<double>(level) / (kSaliencyLevels - 1));
  draw_group_lines(svg, piece, group);
  return svg.str();
}

std::string mask_plot(const SaliencyPiece& piece, int64_t group, std::string_view title) {
  Svg svg = matrix(piece, title);
  svg.path(cells(piece, [&](size_t row, size_t column) { return piece.kept[row][column]; }), "kept");
  svg.path(cells(piece, [&](size_t row, size_t column) { return !piece.kept[row][column]; }), "empty");
  draw_group_lines(svg, piece, group);
  return svg.str();
}

std::string channel_plot(const LayerFigures& figures) {
  std::vector<double> norms, entropies;
  for (const ChannelFigure& channel : figures.channels)
    if (channel.norm > 0) norms.push_back(channel.norm), entropies.push_back(channel.entropy);
  if (norms.empty()) return "";
  const PlotFrame frame;
  Svg svg(frame.width, frame.height, "Channel norm against channel entropy");
  const Scale x = Scale::around(norms, true).onto(frame.left, frame.right);
  const Scale y = Scale::around(entropies).onto(frame.bottom, frame.top);
  draw_frame(svg, frame, x, y, "norm of the inputs (root mean square, log)", "entropy of the inputs, nats");
  for (size_t i = 0; i < norms.size(); ++i) svg.circle(x(norms[i]), y(entropies[i]), 2.4, "dot");
  for (size_t which = 0; which < figures.histograms.size(); ++which) {
    const ActivationHistogram& histogram = figures.histograms[which];
    const auto found = std::ranges::find(figures.channels, histogram.channel, &ChannelFigure::channel);
    if (found == figures.channels.end() || found->norm <= 0) continue;
    const double px = x(found->norm), py = y(found->entropy);
    const bool right = px < (frame.left + frame.right) / 2;
    svg.circle(px, py, 6, which == 0 ? "ring1" : "ring2", fmt::format("channel {}", histogram.channel));
    svg.text(px + (right ? 10 : -10), py + 4, which == 0 ? "richest" : "poorest", "name", right ? "start" : "end");
  }
  return svg.str();
}

std::string histogram_plot(const ActivationHistogram& histogram, std::string_view title, int colour) {
  const PlotFrame frame{.width = 480, .height = 200, .left = 58, .right = 466, .top = 12, .bottom = 152};
  Svg svg(frame.width, frame.height, title);
  const int64_t most = std::ranges::max(histogram.counts);
  const Scale y = Scale::from_zero(static_cast<double>(most)).onto(frame.bottom, frame.top);
  const double low = histogram.minimum, high = std::max(histogram.maximum, low + 1e-12);
  const Scale x = Scale::around({low, high}).onto(frame.left, frame.right);
  draw_frame(svg, frame, x, y, "value of the input", "tokens");
  const double width = (high - low) / static_cast<double>(histogram.counts.size());
  for (size_t bin = 0; bin < histogram.counts.size(); ++bin) {
    const double left = x(low + width * static_cast<double>(bin)),
                 right = x(low + width * static_cast<double>(bin + 1));
    const auto count = static_cast<double>(histogram.counts[bin]);
    if (count > 0)
      svg.rect(left + 0.5, y(count), std::max(right - left - 1, 0.5), frame.bottom - y(count),
               fmt::format("c{}", colour), fmt::format("{} tokens", histogram.counts[bin]));
  }
  return svg.str();
}

std::string group_plot(const LayerFigures& figures) {
  const PlotFrame frame;
  Svg svg(frame.width, frame.height, "Mean saliency of the groups before and after the shuffle");
  double largest = 0;
  for (const auto* means : {&figures.group_means_before, &figures.group_means_after})
    for (double mean : *means) largest = std::max(largest, mean);
  const Scale x = Scale::from_zero(100).onto(frame.left, frame.right),
              y = Scale::from_zero(largest).onto(frame.bottom, frame.top);
  draw_frame(svg, frame, x, y, "groups, the richest first, %", "mean saliency (all = 1)");
  const auto curve = [&](const std::vector<double>& means, std::string_view css) {
    std::string data;
    for (size_t i = 0; i < means.size(); ++i) {
      const double share =
          means.size() > 1 ? 100.0 * static_cast<double>(i) / static_cast<double>(means.size() - 1) : 0;
      data += fmt::format("{}{:.2f} {:.2f}", i == 0 ? "M" : "L", x(share), y(means[i]));
    }
    if (!data.empty()) svg.path(data, css);
  };
  curve(figures.group_means_before, "curve2");
  curve(figures.group_means_after, "curve1");
  const double at = frame.right - 8;
  if (!figures.group_means_before.empty()) {
    svg.text(at, frame.top + 14, "before the shuffle", "legend2", "end");
    svg.text(at, frame.top + 32, "after the shuffle", "legend1", "end");
  }
  return svg.str();
}

}  // namespace esparse

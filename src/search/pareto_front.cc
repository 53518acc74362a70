#include "search/pareto_front.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace esparse {
namespace {

struct Point {
  Costs total;
  int32_t parent = -1;  // among the points of the groups before
  int32_t option = 0;
};

bool comes_first(const Point& a, const Point& b) {
  return std::tie(a.total.bytes, a.total.seconds, a.total.loss, a.parent, a.option) <
         std::tie(b.total.bytes, b.total.seconds, b.total.loss, b.parent, b.option);
}

// Points sorted by bytes, so a point is beaten when an earlier one needs no more seconds and loses no more: kept ones
// form a staircase, more seconds with less loss.
std::vector<Point> without_beaten(std::vector<Point> points) {
  std::ranges::sort(points, comes_first);
  std::map<double, double> stairs;  // seconds -> loss, falling
  std::vector<Point> kept;
  for (const Point& point : points) {
    auto next = stairs.upper_bound(point.total.seconds);
    if (next != stairs.begin() && std::prev(next)->second <= point.total.loss) continue;
    while (next != stairs.end() && next->second >= point.total.loss) next = stairs.erase(next);
    stairs[point.total.seconds] = point.total.loss;
    kept.push_back(point);
  }
  return kept;
}

// The best of each of sqrt(most) x sqrt(most) cells.
std::vector<Point> thinned(const std::vector<Point>& points, size_t most) {
  const auto steps = std::max(1.0, std::floor(std::sqrt(static_cast<double>(most))));
  const auto range = [&](double Costs::*field) {
    const auto [least, largest] = std::ranges::minmax_element(
        points, [field](const Point& a, const Point& b) { return a.total.*field < b.total.*field; });
    return std::pair(least->total.*field, std::max(largest->total.*field - least->total.*field, 1e-300));
  };
  const auto [bytes, byte_range] = range(&Costs::bytes);
  const auto [seconds, second_range] = range(&Costs::seconds);
  std::map<std::pair<int64_t, int64_t>, const Point*> cells;
  for (const Point& point : points) {
    const std::pair cell(std::llround(std::floor((point.total.bytes - bytes) / byte_range * (steps - 1))),
                         std::llround(std::floor((point.total.seconds - seconds) / second_range * (steps - 1))));
    const Point*& best = cells[cell];
    if (best == nullptr || point.total.loss < best->total.loss) best = &point;
  }
  std::vector<Point> kept;
  for (const auto& [cell, point] : cells) kept.push_back(*point);
  return kept;
}

}  // namespace

std::vector<Selection> pareto_front(std::span<const std::vector<Costs>> groups, size_t most) {
  std::vector<std::vector<Point>> steps = {{Point{}}};
  for (const std::vector<Costs>& group : groups) {
    std::vector<Point> points;
    points.reserve(steps.back().size() * group.size());
    for (size_t parent = 0; parent < steps.back().size(); ++parent)
      for (size_t option = 0; option < group.size(); ++option) {
        Point& point = points.emplace_back(
            Point{steps.back()[parent].total, static_cast<int32_t>(parent), static_cast<int32_t>(option)});
        point.total += group[option];
      }
    points = without_beaten(std::move(points));
    if (points.size() > most) points = without_beaten(thinned(points, most));
    steps.push_back(std::move(points));
  }
  std::vector<Selection> front;
  for (const Point& last : steps.back()) {
    Selection& selection = front.emplace_back();
    selection.total = last.total;
    selection.options.resize(groups.size());
    const Point* point = &last;
    for (size_t group = groups.size(); group-- > 0; point = &steps[group][point->parent])
      selection.options[group] = point->option;
  }
  return front;
}

}  // namespace esparse

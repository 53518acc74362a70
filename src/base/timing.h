// How long things take: by turns, so that a machine that slows down for a while does so for all of them.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace esparse {

double seconds_of(const std::function<void()>& body);

// Of an even number of values the upper middle one; `values` may not be empty.
double median(std::vector<double> values);
// Median of the distances from the median.
double median_absolute_deviation(const std::vector<double>& values);

// times[body][turn]: every turn runs all bodies once, in their order. At least `min_turns`, then until `max_turns` or
// until another turn would go beyond `budget_seconds`.
struct TurnLimits {
  int min_turns = 1;
  int max_turns = 1;
  double budget_seconds = 0;
};
std::vector<std::vector<double>> time_in_turns(std::span<const std::function<void()>> bodies, const TurnLimits& limits);

// How many bytes the copies of a weight must span that are used in turn, so that each use finds its copy out of the
// caches: twice the last level.
int64_t cold_bytes();

}  // namespace esparse

#include "base/timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/cpu.h"
#include "base/status.h"

namespace esparse {

double seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  ESPARSE_CHECK(!values.empty());
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double median_absolute_deviation(const std::vector<double>& values) {
  const double center = median(values);
  std::vector<double> distances;
  for (const double value : values) distances.push_back(std::abs(value - center));
  return median(distances);
}

std::vector<std::vector<double>> time_in_turns(std::span<const std::function<void()>> bodies,
                                               const TurnLimits& limits) {
  std::vector<std::vector<double>> times(bodies.size());
  double spent = 0, longest = 0;
  for (int turn = 0; turn < limits.max_turns; ++turn) {
    if (turn >= limits.min_turns && spent + longest > limits.budget_seconds) break;
    double turn_seconds = 0;
    for (size_t i = 0; i < bodies.size(); ++i) {
      times[i].push_back(seconds_of(bodies[i]));
      turn_seconds += times[i].back();
    }
    spent += turn_seconds;
    longest = std::max(longest, turn_seconds);
  }
  return times;
}

int64_t cold_bytes() {
  // At least that of common machines, for a virtual one may hide its cache; at most what a large one can spare.
  return std::clamp<int64_t>(2 * last_level_cache_bytes(), 96 << 20, 1 << 30);
}

}  // namespace esparse

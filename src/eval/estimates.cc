#include "eval/estimates.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace esparse {

Estimate estimate_mean(std::span<const double> values) {
  const auto count = static_cast<double>(values.size());
  if (values.empty()) return {};
  double sum = 0, squares = 0;
  for (double value : values) sum += value;
  const double mean = sum / count;
  for (double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() < 2 ? 0 : std::sqrt(squares / (count - 1) / count)};
}

Estimate estimate_share(double ones, double count) {
  if (count <= 0) return {};
  const double share = ones / count;
  return {share, count < 2 ? 0 : std::sqrt(share * (1 - share) / (count - 1))};
}

Estimate exp_of(const Estimate& estimate) {
  const double value = std::exp(estimate.mean);
  return {value, value * estimate.standard_error};
}

double percentile(std::span<const double> values, double share) {
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace esparse

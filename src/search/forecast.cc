#include "search/forecast.h"

#include <algorithm>
#include <cmath>

namespace esparse {
namespace {

// In natural logarithms: a model that lost twice as much or half as much weighs half.
constexpr double kReach = 0.7;
// The exponent is one where nothing interacts; measured models near each other could ask for anything.
constexpr double kLeastExponent = 0.5, kMostExponent = 2;

}  // namespace

void Forecast::add(double sum, double measured) {
  if (sum > 0 && measured > 0) known_.push_back({std::log(sum), std::log(measured)});
}

double Forecast::at(double sum) const {
  if (!(sum > 0)) return 0;
  if (known_.empty()) return sum;
  const double x = std::log(sum);
  double weights = 0, mean_x = 0, mean_y = 0, xx = 0, xy = 0;
  std::vector<double> weight;
  double nearest = INFINITY;  // so that the weights cannot all vanish
  for (const Known& known : known_) nearest = std::min(nearest, std::abs(known.log_sum - x));
  for (const Known& known : known_) {
    weight.push_back(std::exp2(-(std::abs(known.log_sum - x) - nearest) / kReach));
    weights += weight.back();
    mean_x += weight.back() * known.log_sum;
    mean_y += weight.back() * known.log_measured;
  }
  mean_x /= weights, mean_y /= weights;
  for (size_t k = 0; k < known_.size(); ++k) {
    xx += weight[k] * (known_[k].log_sum - mean_x) * (known_[k].log_sum - mean_x);
    xy += weight[k] * (known_[k].log_sum - mean_x) * (known_[k].log_measured - mean_y);
  }
  const double exponent = xx > 1e-12 ? std::clamp(xy / xx, kLeastExponent, kMostExponent) : 1;
  return std::exp(mean_y + exponent * (x - mean_x));
}

}  // namespace esparse

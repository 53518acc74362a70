// One element of y = x W^T + b in double, and how far an f32 sum may be from it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace esparse::fuzz {

class Sum {
 public:
  explicit Sum(float bias) : value_(bias), magnitude_(std::abs(bias)) {}

  void add(float weight, float x) {
    const double term = static_cast<double>(weight) * x;
    value_ += term;
    magnitude_ += std::abs(term);
    factors_ += std::abs(static_cast<double>(weight)) + std::abs(static_cast<double>(x));
    largest_x_ = std::max(largest_x_, std::abs(static_cast<double>(x)));
    ++terms_;
  }
  // Whether `got`, an f32 sum in any order, can be this one. `rounded_x`: by a kernel that rounds x to bf16 and counts
  // subnormals as zero.
  bool agrees(float got, bool rounded_x) const {
    constexpr double kMax = std::numeric_limits<float>::max() / 2;
    if (magnitude_ > kMax || (rounded_x && largest_x_ > kMax)) return true;  // some order may overflow on the way
    return std::abs(got - value_) <= tolerance(rounded_x);
  }
  double value() const { return value_; }

  // Every product and every partial sum is rounded once: n roundings of relative size e one after another are off by
  // at most n e / (1 - n e) (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); those of subnormal
  // products by half of 2^-149 each.
  double tolerance(bool rounded_x) const {
    const double n = static_cast<double>(terms_) + 2;
    const double rounding = n * 0x1p-24 / (1 - n * 0x1p-24) * magnitude_ + n * 0x1p-149;
    if (!rounded_x) return rounding;
    return 1.01 * rounding + 0x1p-8 * magnitude_ + (factors_ + n) * 0x1p-126;
  }

 private:
  double value_ = 0;
  double magnitude_ = 0;  // sum of |terms|
  double factors_ = 0;    // sum of |weight| + |x|
  double largest_x_ = 0;
  int64_t terms_ = 0;
};

}  // namespace esparse::fuzz

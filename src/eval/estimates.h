// Means with their standard errors, and percentiles.
#pragma once

#include <span>

namespace esparse {

struct Estimate {
  double mean = 0;
  double standard_error = 0;  // sample deviation / sqrt(count); 0 for a single value
};

// Samples are taken as independent. Summed in order, so that the result is the same bits every time.
Estimate estimate_mean(std::span<const double> values);

// The same for values that are 0 or 1, of which `ones` are 1; sample deviation as the evaluation harness has it.
Estimate estimate_share(double ones, double count);

// exp(mean), with the standard error that the mean's has to first order.
Estimate exp_of(const Estimate& estimate);

// Linear between neighbours, as NumPy's percentile(); share 0 to 1, at least one value.
double percentile(std::span<const double> values, double share);

}  // namespace esparse

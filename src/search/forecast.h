// What the sum of the divergences of single groups says about a model in which all of them are pruned: learned from the
// models that have been measured.
#pragma once

#include <vector>

namespace esparse {

// measured = exp(a) * sum^b near the sum asked for, a and b by least squares on the logarithms, weighted by how near a
// model is. With one model b is 1, with none measured = sum: the sum of divergences is what the rise of the loss is
// expected to be when the text is like the dense model's own.
class Forecast {
 public:
  // Of a model that was measured; those that lost nothing (or gained) say nothing and are passed over.
  void add(double sum, double measured);
  double at(double sum) const;

 private:
  struct Known {
    double log_sum, log_measured;
  };
  std::vector<Known> known_;
};

}  // namespace esparse

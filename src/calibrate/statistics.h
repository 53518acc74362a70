// Statistics of the inputs of the linears at one site, over all calibration tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix.h"

namespace esparse {

// Only what the saliency asks for is filled.
struct InputStatistics {
  int64_t sequences = 0;
  int64_t tokens = 0;               // over all sequences
  std::vector<double> sum_squares;  // [in_features] sum over tokens of x_j^2
  std::vector<double> sum;          // [in_features] sum over tokens of x_j
  std::vector<double> entropy;      // [in_features] nats, see entropy.h
  Matrix<float> gram;               // [in_features, in_features] sum over tokens of x x^T, both halves filled
  Matrix<float> cross;              // [in_features, in_features] sum of x_dense x^T, x_dense: of the dense model
  std::vector<double> inverse_diagonal;  // [in_features] diagonal of (gram + damping)^-1, for the saliency obs
};

struct StatisticsNeeds {
  bool norms = false;    // sum_squares
  bool entropy = false;  // entropy
  bool gram = false;     // gram and inverse_diagonal
  bool sums = false;     // sum
  bool any() const { return norms || entropy || gram || sums; }
};

}  // namespace esparse

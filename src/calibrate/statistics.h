// Statistics of the inputs of the linears at one site, over all calibration tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix.h"

namespace esparse {

// Only what is asked for is filled.
struct InputStatistics {
  int64_t sequences = 0;
  int64_t tokens = 0;                    // over all sequences
  std::vector<double> sum_squares;       // [in_features] sum over tokens of x_j^2
  std::vector<double> sum;               // [in_features] sum over tokens of x_j
  std::vector<double> entropy;           // [in_features] nats, see entropy.h
  Matrix<float> gram;                    // [in_features, in_features] sum over tokens of x x^T, both halves filled
  Matrix<float> cross;                   // [in_features, in_features] sum of x_dense x^T, x_dense: of the dense model
  Matrix<float> residual;                // [hidden_size, in_features] sum of (r_dense - r) x^T, r: the residual stream
  std::vector<double> inverse_diagonal;  // [in_features] diagonal of (gram + damping)^-1, for the saliency obs
  Matrix<float> sample;                  // [at most kSampleTokens, in_features] inputs of evenly spread tokens
};

// Enough to tell whether one pruning of a layer is better than another.
inline constexpr int64_t kSampleTokens = 256;

struct StatisticsNeeds {
  bool norms = false;     // sum_squares
  bool entropy = false;   // entropy
  bool gram = false;      // gram
  bool sums = false;      // sum
  bool cross = false;     // cross; the calibration must carry the dense model's hidden states
  bool residual = false;  // residual; with cross only
  bool any() const { return norms || entropy || gram || sums || cross; }
  void merge(const StatisticsNeeds& other) {
    norms |= other.norms, entropy |= other.entropy, gram |= other.gram;
    sums |= other.sums, cross |= other.cross, residual |= other.residual;
  }
};

}  // namespace esparse

// Statistics of the inputs of the linears at one site, over all calibration tokens.
#pragma once

#include <cstdint>
#include <vector>

namespace esparse {

// Only what the saliency asks for is filled.
struct InputStatistics {
  int64_t sequences = 0;
  int64_t tokens = 0;               // over all sequences
  std::vector<double> sum_squares;  // [in_features] sum over tokens of x_j^2
  std::vector<double> entropy;      // [in_features] nats, see entropy.h
};

struct StatisticsNeeds {
  bool norms = false;
  bool entropy = false;
  bool any() const { return norms || entropy; }
};

}  // namespace esparse

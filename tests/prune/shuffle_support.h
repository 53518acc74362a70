// Saliencies as real layers have them, for the tests of the channel shuffle.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>

#include "base/matrix.h"
#include "prune/shuffle.h"

namespace esparse {

// |Gaussian| weights times log-normal channel scales (sigma of the logarithm: `spread`) that change slowly from channel
// to channel.
inline Matrix<float> correlated_saliency(int64_t rows, int64_t channels, float spread, int seed) {
  constexpr float kKept = 0.97f;  // correlation of neighbours
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> scale(channels);
  float level = normal(random);
  for (float& value : scale) {
    level = kKept * level + std::sqrt(1 - kKept * kKept) * normal(random);
    value = std::exp(spread * level);
  }
  Matrix<float> saliency(rows, channels);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t j = 0; j < channels; ++j) saliency(row, j) = std::fabs(normal(random)) * scale[j];
  return saliency;
}

inline bool is_permutation_of_channels(ChannelOrder order) {
  std::ranges::sort(order);
  return order == identity_order(static_cast<int64_t>(order.size()));
}

}  // namespace esparse

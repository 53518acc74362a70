#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace esparse {

Status SamplingOptions::validate() const {
  if (!(temperature >= 0) || !std::isfinite(temperature))
    return invalid_argument("--temperature: expected a number of at least 0, got {}", temperature);
  if (!(top_p > 0 && top_p <= 1)) return invalid_argument("--top-p: expected more than 0 and at most 1, got {}", top_p);
  return {};
}

int32_t Sampler::next(std::span<const float> logits) {
  const auto largest = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  if (options_.temperature == 0) return largest;

  std::vector<double> weights(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    weights[i] = std::exp((static_cast<double>(logits[i]) - logits[largest]) / options_.temperature);
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return weights[a] > weights[b]; });

  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double nucleus = 0;
  size_t kept = 0;
  while (kept < ids.size() && (kept == 0 || nucleus < options_.top_p * total)) nucleus += weights[ids[kept++]];
  // 53 random bits by hand: std::uniform_real_distribution differs between libraries.
  double target = static_cast<double>(random_() >> 11) * 0x1p-53 * nucleus;
  for (size_t i = 0; i < kept; ++i) {
    target -= weights[ids[i]];
    if (target < 0) return ids[i];
  }
  return ids[kept - 1];
}

}  // namespace esparse

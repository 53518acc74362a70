// Shuffle kernels in plain C++: the definition of the bits that every other table must give.
#include <algorithm>
#include <limits>

#include "kernels/shuffle_kernels.h"
#include "sparse/pattern.h"

namespace esparse {
namespace {

constexpr int64_t kLanes = kShuffleLanes;

template <typename T>
T sum_lanes(T (&lanes)[kLanes]) {
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

float sum_of_max(const float* x, const float* t, int64_t rows) {
  float lanes[kLanes] = {};
  for (int64_t r = 0; r < rows; r += kLanes)
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] += x[r + l] > t[r + l] ? x[r + l] : t[r + l];
  return sum_lanes(lanes);
}

void add_sums_of_max(const float* const* t, int64_t t_count, const float* x, int64_t x_count, int64_t rows,
                     double* const* sums) {
  for (int64_t j = 0; j < x_count; ++j)
    for (int64_t i = 0; i < t_count; ++i) sums[i][j] += sum_of_max(x + j * rows, t[i], rows);
}

// Inserts one score per lane into lists of the `count` largest so far, largest first.
void insert_scores(const float* scores, float (*top)[kLanes], int count) {
  float x[kLanes];
  std::copy_n(scores, kLanes, x);
  for (int n = 0; n < count; ++n) {
    for (int64_t l = 0; l < kLanes; ++l) {
      const float larger = x[l] > top[n][l] ? x[l] : top[n][l];
      x[l] = x[l] > top[n][l] ? top[n][l] : x[l];
      top[n][l] = larger;
    }
  }
}

// A member among the N largest scores of a row leaves the N+1st as N-th of the others, any other member the N-th.
double group_thresholds(const float* const* values, int kept, int group, int64_t rows, float* const* thresholds) {
  float top[NmPattern::kMaxGroup][kLanes];
  double lanes[kLanes] = {};
  for (int64_t r = 0; r < rows; r += kLanes) {
    std::fill_n(&top[0][0], (kept + 1) * kLanes, -std::numeric_limits<float>::infinity());
    for (int k = 0; k < group; ++k) insert_scores(values[k] + r, top, kept + 1);
    for (int n = 0; n < kept; ++n)
      for (int64_t l = 0; l < kLanes; ++l) lanes[l] += top[n][l];
    for (int k = 0; k < group; ++k) {
      const float* x = values[k] + r;
      float* t = thresholds[k] + r;
      for (int64_t l = 0; l < kLanes; ++l) t[l] = x[l] >= top[kept - 1][l] ? top[kept][l] : top[kept - 1][l];
    }
  }
  return sum_lanes(lanes);
}

}  // namespace

const ShuffleKernels kPortableShuffleKernels = {"portable", add_sums_of_max, group_thresholds};

}  // namespace esparse

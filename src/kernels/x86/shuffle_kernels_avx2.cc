// Shuffle kernels for AVX2.
// Cost: a maximum and an addition per eight scores. A tile of four thresholds by two channels keeps its eight sums in
// registers, so eight of these pairs share six loads and no addition waits for the one before it. Two additions per
// cycle bound add_sums_of_max at 16 scores per cycle and core.
// Tails: rows are a multiple of eight; counts beyond whole tiles are done one pair at a time.
#include <immintrin.h>

#include <limits>

#include "kernels/shuffle_kernels.h"
#include "sparse/pattern.h"

namespace esparse {

extern const ShuffleKernels kAvx2ShuffleKernels;

namespace {

static_assert(kShuffleLanes == 8, "one register of partial sums");
constexpr int64_t kLanes = kShuffleLanes;

// Of scores that are not negative. As integers, since those maxima and f32 additions have execution units of their own
// on Zen 3, while f32 maxima and additions share two.
__m256 larger(__m256 a, __m256 b) {
  return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}

// Lanes added in halves, as the header says.
float sum_lanes(__m256 v) {
  const __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

double sum_lanes(__m256d low, __m256d high) {
  const __m256d half = _mm256_add_pd(low, high);
  const __m128d pair = _mm_add_pd(_mm256_castpd256_pd128(half), _mm256_extractf128_pd(half, 1));
  return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
}

// [a0+a4 a1+a5 a2+a6 a3+a7 | the same of b]
__m256 add_halves(__m256 a, __m256 b) {
  return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

// The lane sums of eight registers, four even and four odd ones: [0 2 4 6 | 1 3 5 7].
__m256 sum_lanes_of_eight(const __m256 (&v)[8]) {
  const __m256 v01 = add_halves(v[0], v[1]), v23 = add_halves(v[2], v[3]);
  const __m256 v45 = add_halves(v[4], v[5]), v67 = add_halves(v[6], v[7]);
  const __m256 low = _mm256_add_ps(_mm256_shuffle_ps(v01, v23, 0x44), _mm256_shuffle_ps(v01, v23, 0xee));
  const __m256 high = _mm256_add_ps(_mm256_shuffle_ps(v45, v67, 0x44), _mm256_shuffle_ps(v45, v67, 0xee));
  return _mm256_add_ps(_mm256_shuffle_ps(low, high, 0x88), _mm256_shuffle_ps(low, high, 0xdd));
}

void add_pair(double* sums, __m128d values) { _mm_storeu_pd(sums, _mm_add_pd(_mm_loadu_pd(sums), values)); }

// Sums of four thresholds with two neighbouring channels.
void tile_4x2(const float* const* t, const float* x, int64_t rows, double* const* sums, int64_t j) {
  __m256 sum[8] = {};
  const float* second = x + rows;
  for (int64_t r = 0; r < rows; r += kLanes) {
    const __m256 x0 = _mm256_loadu_ps(x + r), x1 = _mm256_loadu_ps(second + r);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      __m256 threshold = _mm256_loadu_ps(t[i] + r);
      asm("" : "+x"(threshold));  // or the compiler loads it twice, and the loads become the bound
      sum[2 * i] = _mm256_add_ps(sum[2 * i], larger(x0, threshold));
      sum[2 * i + 1] = _mm256_add_ps(sum[2 * i + 1], larger(x1, threshold));
    }
  }
  const __m256 sums_8 = sum_lanes_of_eight(sum);
  const __m128 x0 = _mm256_castps256_ps128(sums_8), x1 = _mm256_extractf128_ps(sums_8, 1);
  const __m256d t01 = _mm256_cvtps_pd(_mm_unpacklo_ps(x0, x1)), t23 = _mm256_cvtps_pd(_mm_unpackhi_ps(x0, x1));
  add_pair(sums[0] + j, _mm256_castpd256_pd128(t01));
  add_pair(sums[1] + j, _mm256_extractf128_pd(t01, 1));
  add_pair(sums[2] + j, _mm256_castpd256_pd128(t23));
  add_pair(sums[3] + j, _mm256_extractf128_pd(t23, 1));
}

float sum_of_max(const float* x, const float* t, int64_t rows) {
  __m256 sum = _mm256_setzero_ps();
  for (int64_t r = 0; r < rows; r += kLanes)
    sum = _mm256_add_ps(sum, larger(_mm256_loadu_ps(x + r), _mm256_loadu_ps(t + r)));
  return sum_lanes(sum);
}

void add_sums_of_max(const float* const* t, int64_t t_count, const float* x, int64_t x_count, int64_t rows,
                     double* const* sums) {
  int64_t j = 0;
  for (; j + 2 <= x_count; j += 2) {
    const float* channels = x + j * rows;
    int64_t i = 0;
    for (; i + 4 <= t_count; i += 4) tile_4x2(t + i, channels, rows, sums + i, j);
    for (; i < t_count; ++i) {
      sums[i][j] += sum_of_max(channels, t[i], rows);
      sums[i][j + 1] += sum_of_max(channels + rows, t[i], rows);
    }
  }
  if (j < x_count)
    for (int64_t i = 0; i < t_count; ++i) sums[i][j] += sum_of_max(x + j * rows, t[i], rows);
}

// kKept = kept where it is known at compile time, so that the list of the largest stays in registers; else 0.
template <int kKept>
double group_thresholds_of(const float* const* values, int kept_at_run_time, int group, int64_t rows,
                           float* const* thresholds) {
  const int kept = kKept != 0 ? kKept : kept_at_run_time;
  __m256 top[kKept != 0 ? kKept + 1 : NmPattern::kMaxGroup];
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  for (int64_t r = 0; r < rows; r += kLanes) {
    for (int n = 0; n <= kept; ++n) top[n] = _mm256_set1_ps(-std::numeric_limits<float>::infinity());
    for (int k = 0; k < group; ++k) {
      __m256 x = _mm256_loadu_ps(values[k] + r);
      for (int n = 0; n <= kept; ++n) {
        const __m256 larger = _mm256_max_ps(x, top[n]);
        x = _mm256_min_ps(top[n], x);
        top[n] = larger;
      }
    }
    for (int n = 0; n < kept; ++n) {
      low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(top[n])));
      high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(top[n], 1)));
    }
    for (int k = 0; k < group; ++k) {
      const __m256 among = _mm256_cmp_ps(_mm256_loadu_ps(values[k] + r), top[kept - 1], _CMP_GE_OQ);
      _mm256_storeu_ps(thresholds[k] + r, _mm256_blendv_ps(top[kept - 1], top[kept], among));
    }
  }
  return sum_lanes(low, high);
}

double group_thresholds(const float* const* values, int kept, int group, int64_t rows, float* const* thresholds) {
  switch (kept) {
    case 1:
      return group_thresholds_of<1>(values, kept, group, rows, thresholds);
    case 2:
      return group_thresholds_of<2>(values, kept, group, rows, thresholds);
    case 4:
      return group_thresholds_of<4>(values, kept, group, rows, thresholds);
    default:
      return group_thresholds_of<0>(values, kept, group, rows, thresholds);
  }
}

}  // namespace

const ShuffleKernels kAvx2ShuffleKernels = {"avx2", add_sums_of_max, group_thresholds};

}  // namespace esparse

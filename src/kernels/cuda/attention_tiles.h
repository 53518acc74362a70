// What a warp does with 16 rows of queries and 16 keys: scores, running softmax, weighted sum of the values, on
// mma_16x8x16. Lane = 4g + t throughout; rows of queries g and g + 8.
//
// The order of the elements within a dot product is free as long as both sides agree. So a lane takes its part of a
// query or a key as whole vectors of kKeyRun neighbours, and its part of a value as vectors of kValueRun, straight from
// rows as they lie in memory: no transposition, no ldmatrix.
#pragma once

#include "kernels/cuda/mma.h"
#include "kernels/cuda/reduce.h"

namespace esparse::cuda::ESPARSE_BACKEND {

template <int kHeadDim>
struct HeadTile {
  static_assert(kHeadDim % 16 == 0);
  // Elements of one load: four lanes share the 4 * kKeyRun dimensions of a step of keys, eight the 8 * kValueRun of a
  // step of values.
  static constexpr int kKeyRun = kHeadDim % 32 == 0 ? 8 : 4;
  static constexpr int kKeySteps = kHeadDim / (4 * kKeyRun);
  static constexpr int kValueRun = kHeadDim % 64 == 0 ? 8 : kHeadDim % 32 == 0 ? 4 : 2;
  static constexpr int kValueSteps = kHeadDim / (8 * kValueRun);
};

// kRun 16-bit elements as registers.
template <int kRun>
__device__ __forceinline__ void load_run(const void* source, uint32_t (&x)[kRun / 2]) {
  if constexpr (kRun == 8) {
    const uint4 all = *static_cast<const uint4*>(source);
    x[0] = all.x, x[1] = all.y, x[2] = all.z, x[3] = all.w;
  } else if constexpr (kRun == 4) {
    const uint2 all = *static_cast<const uint2*>(source);
    x[0] = all.x, x[1] = all.y;
  } else {
    x[0] = *static_cast<const uint32_t*>(source);
  }
}

template <typename T, int kHeadDim>
struct AttentionWarp {
  using Tile = HeadTile<kHeadDim>;
  static constexpr int kKeyRun = Tile::kKeyRun, kValueRun = Tile::kValueRun;

  uint32_t query[Tile::kKeySteps][2][kKeyRun / 2];  // of rows g and g + 8
  float sum[Tile::kValueSteps][kValueRun][4];       // of values; [2], [3] are of row g + 8
  float largest[2], total[2];                       // scores in powers of two, of this lane's columns; both rows

  __device__ __forceinline__ void start(const T* row, const T* row_8, int t) {
    ESPARSE_UNROLL
    for (int step = 0; step < Tile::kKeySteps; ++step) {
      load_run<kKeyRun>(row + (4 * step + t) * kKeyRun, query[step][0]);
      load_run<kKeyRun>(row_8 + (4 * step + t) * kKeyRun, query[step][1]);
    }
    ESPARSE_UNROLL
    for (int step = 0; step < Tile::kValueSteps; ++step) ESPARSE_UNROLL
    for (int i = 0; i < kValueRun; ++i) ESPARSE_UNROLL
    for (float& part : sum[step][i]) part = 0;
    largest[0] = largest[1] = -INFINITY;
    total[0] = total[1] = 0;
  }

  // d (g or g + 8, keys 2t and 2t + 1) = queries times the eight keys of which `key` is row g.
  __device__ __forceinline__ void score(const T* key, int t, float (&d)[4]) const {
    d[0] = d[1] = d[2] = d[3] = 0;
    ESPARSE_UNROLL
    for (int step = 0; step < Tile::kKeySteps; ++step) {
      uint32_t b[kKeyRun / 2];
      load_run<kKeyRun>(key + (4 * step + t) * kKeyRun, b);
      ESPARSE_UNROLL
      for (int i = 0; i < kKeyRun / 4; ++i)
        mma_16x8x16<T>(
            d, {query[step][0][2 * i], query[step][1][2 * i], query[step][0][2 * i + 1], query[step][1][2 * i + 1]},
            {b[2 * i], b[2 * i + 1]});
    }
  }

  // The largest score so far of both rows over the four lanes that share them, and what the sums so far shrink by.
  __device__ __forceinline__ void raise(float row_largest, float row_8_largest) {
    const float now[2] = {row_largest, row_8_largest};
    float shrink[2];
    ESPARSE_UNROLL
    for (int row = 0; row < 2; ++row) {
      float best = now[row];
      best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, 1));
      best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, 2));
      best = fmaxf(best, largest[row]);
      shrink[row] = best == -INFINITY ? 1.0f : exp2f(largest[row] - best);
      largest[row] = best;
      total[row] *= shrink[row];
    }
    ESPARSE_UNROLL
    for (int step = 0; step < Tile::kValueSteps; ++step) ESPARSE_UNROLL
    for (int i = 0; i < kValueRun; ++i) {
      sum[step][i][0] *= shrink[0], sum[step][i][1] *= shrink[0];
      sum[step][i][2] *= shrink[1], sum[step][i][3] *= shrink[1];
    }
  }

  // Scores of keys 0 .. 7 and 8 .. 15 become probabilities, not yet divided by their total, as the left operand of the
  // product with the values. A score of -INFINITY is a key that is not seen.
  __device__ __forceinline__ void weigh(const float (&low)[4], const float (&high)[4], uint32_t (&p)[4]) {
    float e[2][4];
    ESPARSE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float best = largest[i / 2];
      e[0][i] = low[i] == -INFINITY ? 0.0f : exp2f(low[i] - best);
      e[1][i] = high[i] == -INFINITY ? 0.0f : exp2f(high[i] - best);
      total[i / 2] += e[0][i] + e[1][i];
    }
    p[0] = pack_pair<T>(e[0][0], e[0][1]), p[1] = pack_pair<T>(e[0][2], e[0][3]);
    p[2] = pack_pair<T>(e[1][0], e[1][1]), p[3] = pack_pair<T>(e[1][2], e[1][3]);
  }

  // Adds p times the values of keys 2t, 2t + 1, 2t + 8, 2t + 9, whose rows these are.
  __device__ __forceinline__ void add(const uint32_t (&p)[4], const T* const (&value)[4], int g) {
    ESPARSE_UNROLL
    for (int step = 0; step < Tile::kValueSteps; ++step) {
      uint32_t v[4][kValueRun / 2];
      ESPARSE_UNROLL
      for (int key = 0; key < 4; ++key) load_run<kValueRun>(value[key] + (8 * step + g) * kValueRun, v[key]);
      ESPARSE_UNROLL
      for (int i = 0; i < kValueRun; ++i) {
        const uint32_t halves = i % 2 == 0 ? 0x5410 : 0x7632;  // the low or the high elements of two registers
        mma_16x8x16<T>(sum[step][i], p,
                       {__byte_perm(v[0][i / 2], v[1][i / 2], halves), __byte_perm(v[2][i / 2], v[3][i / 2], halves)});
      }
    }
  }

  // The totals over the four lanes that share a row.
  __device__ __forceinline__ void finish() {
    ESPARSE_UNROLL
    for (float& row : total) {
      row += __shfl_xor_sync(0xffffffffu, row, 1);
      row += __shfl_xor_sync(0xffffffffu, row, 2);
    }
  }
  // Calls each(dimension, sum of row g, sum of row g + 8) for the dimensions of this lane.
  template <typename Each>
  __device__ __forceinline__ void for_each_sum(int t, const Each& each) const {
    ESPARSE_UNROLL
    for (int step = 0; step < Tile::kValueSteps; ++step) ESPARSE_UNROLL
    for (int column = 0; column < 2; ++column) ESPARSE_UNROLL
    for (int i = 0; i < kValueRun; ++i)
      each(8 * step * kValueRun + (2 * t + column) * kValueRun + i, sum[step][i][column], sum[step][i][2 + column]);
  }
};

inline constexpr float kLog2E = 1.44269504f;

}  // namespace esparse::cuda::ESPARSE_BACKEND

// The inner loops of the channel shuffle, on the scores of single channels; kernels/isa.h chooses one table.
// Unlike the row kernels, all tables give the same bits: a shuffle is a chain of decisions, and a model pruned on one
// machine must be the model pruned on another. Sums are made in kShuffleLanes partial sums, row r into number
// r mod kShuffleLanes, which are then added in halves (0 + 4, 1 + 5, ...; 0 + 2, ...; 0 + 1).
// Scores are finite and not negative; no alignment is asked for.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace esparse {

inline constexpr int64_t kShuffleLanes = 8;

struct ShuffleKernels {
  const char* isa;

  // sums[i][j] += sum over r < rows of max(x[j * rows + r], t[i][r]), for i < t_count, j < x_count; the sum over r is
  // f32. rows is a multiple of kShuffleLanes. Fastest when t (t_count * rows * 4 bytes) stays in the L1 cache: x is
  // read once, two channels at a time, and every two meet all of t.
  void (*add_sums_of_max)(const float* const* t, int64_t t_count, const float* x, int64_t x_count, int64_t rows,
                          double* const* sums);

  // One N:M group whose member k has the scores values[k][0, rows): thresholds[k][r] = the N-th largest score of row r
  // among the other members. Returns the sum over rows of the N largest, in double. rows is a multiple of
  // kShuffleLanes; 1 <= kept < group <= NmPattern::kMaxGroup.
  double (*group_thresholds)(const float* const* values, int kept, int group, int64_t rows, float* const* thresholds);
};

extern const ShuffleKernels kPortableShuffleKernels;

template <>
std::span<const TableEntry<ShuffleKernels>> all_tables<ShuffleKernels>();
inline const ShuffleKernels& shuffle_kernels() { return kernels<ShuffleKernels>(); }

}  // namespace esparse

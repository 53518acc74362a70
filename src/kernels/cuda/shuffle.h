// The sums of the channel shuffle (prune/shuffle_block.h), bit for bit those of kernels/shuffle_kernels.h: a shuffle is
// a chain of decisions, and a GPU must come to the same order of channels.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// Rows whose f32 sums become one addition in double; as prune/shuffle_panel.h has it.
inline constexpr int64_t kShufflePanelRows = 256;
// Rows are filled up with zeros to a multiple of this.
inline constexpr int64_t kShuffleRowStep = 32;

// values, thresholds [channels, rows]: the scores of a channel in a run.
struct GroupThresholdsArgs {
  const float* values;
  float* thresholds;       // of the groups' members: the N-th largest score among the other members
  const int32_t* members;  // [groups, group] channels
  double* masses;          // [groups, panels] sum of the N largest
  int64_t rows;
  int groups, kept, group;
};

// partial[p][i][d] = sum over the rows of panel p of max(values[d][r], thresholds[from[i]][r]), then
// sums[i][d] = their sum in double, in the order of panels.
struct SumsOfMaxArgs {
  const float* values;
  const float* thresholds;
  const int32_t* from;  // [count] channels
  float* partial;       // scratch [panels, count, channels]
  double* sums;         // [count, channels]
  int64_t rows;
  int count, channels;
};

struct ShuffleKernels {
  LaunchCode (*group_thresholds)(const GroupThresholdsArgs& args, Stream stream);
  LaunchCode (*sums_of_max)(const SumsOfMaxArgs& args, Stream stream);
};

}  // namespace esparse::cuda

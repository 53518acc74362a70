// What the swap search of the channel shuffle spends its time on: sums over all rows of a block of channels. Channels
// are numbered within the block.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/matrix.h"
#include "sparse/pattern.h"

namespace esparse {

// Every implementation gives the same bits (kernels/shuffle_kernels.h says in which order sums are made).
class SwapSums {
 public:
  virtual ~SwapSums() = default;

  // Makes t_c, the N-th largest score of each row among the other members of channel c's group, for groups whose
  // members are members[0 .. M), members[M .. 2 M), ...; masses[g] = sum over rows of the N largest.
  virtual void refresh_thresholds(std::span<const int32_t> members, std::span<double> masses) = 0;

  // sums(c, d) = sum over rows of max(x_d, t_c) for each c of `channels` and all channels d of the block; the other
  // rows of sums [channels, channels] are left alone.
  virtual void sums_of_max(std::span<const int32_t> channels, MatrixView<double> sums) = 0;
};

// On all threads. `channels`: columns of the saliency, which is read now.
std::unique_ptr<SwapSums> cpu_swap_sums(MatrixView<const float> saliency, NmPattern pattern,
                                        std::span<const int32_t> channels);

}  // namespace esparse

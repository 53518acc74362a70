// Work of pruning that a GPU may take over. prune/ knows this interface alone: gpu_prune/ implements it, cli/ hands it
// in, and a null pointer means the CPU.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/matrix.h"
#include "base/status.h"
#include "prune/swap_sums.h"
#include "sparse/pattern.h"

namespace esparse {

// One thread at a time.
class PruneAccelerator {
 public:
  virtual ~PruneAccelerator() = default;

  // obs_sweep() of prune/obs.h for N:M over the first `columns` columns, or with no pattern obs_sweep_masked() over all
  // of them. The same up to rounding: weights agree to about 1e-5 of their row's largest, masks but for near ties.
  virtual Result<double> obs_sweep(MatrixView<float> weight, MatrixView<const float> u,
                                   std::optional<NmPattern> pattern, MatrixView<uint8_t> mask, int64_t columns) = 0;

  // The sums of one block of the channel shuffle, the same bits as the CPU's. What goes wrong later than here ends the
  // search, which shows no error: ask shuffle_failure() when it is done.
  virtual std::unique_ptr<SwapSums> swap_sums(MatrixView<const float> saliency, NmPattern pattern,
                                              std::span<const int32_t> channels) = 0;
  virtual Status shuffle_failure() const = 0;
};

}  // namespace esparse

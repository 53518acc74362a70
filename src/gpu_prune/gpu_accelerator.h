// The OBS sweep and the sums of the channel shuffle on a GPU.
#pragma once

#include <memory>

#include "gpu/device.h"
#include "prune/accelerator.h"

namespace esparse {

// The device must outlive it, and it what it makes.
std::unique_ptr<PruneAccelerator> make_gpu_accelerator(Device& device);

// The parts of it, a file each.
Result<double> gpu_obs_sweep(Device& device, MatrixView<float> weight, MatrixView<const float> u,
                             std::optional<NmPattern> pattern, MatrixView<uint8_t> mask, int64_t columns);
// The first failure is kept in `failure`; sums are zero from then on, with which a search finds nothing to swap.
std::unique_ptr<SwapSums> gpu_swap_sums(Device& device, Status& failure, MatrixView<const float> saliency,
                                        NmPattern pattern, std::span<const int32_t> channels);

}  // namespace esparse

// Calibration on a GPU: windows run through a block there, and the statistics of its sites are gathered where the
// inputs lie.
#pragma once

#include <memory>

#include "calibrate/block_runner.h"
#include "gpu/device.h"

namespace esparse {

// `longest_window` in tokens; device and model must outlive it. The model's weights are looked at once, now, for the
// type to compute in: f16 where all of them are, otherwise bf16. Blocks are uploaded when they are needed, one at a
// time (two with cross statistics); weights of another type are rounded for the passes, not in the model.
//
// Inputs of linears, keys and values are rounded to 16 bits, as on a CPU with bf16 kernels; the residual stream and all
// sums are f32. The same bits in every run on one GPU.
std::unique_ptr<BlockRunner> make_gpu_block_runner(Device& device, const Model& model, int64_t longest_window);

}  // namespace esparse

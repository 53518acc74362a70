// Calibration with a GPU: the statistics of every site are gathered there.
#pragma once

#include <memory>

#include "calibrate/block_runner.h"
#include "gpu/device.h"

namespace esparse {

// The model runs on the CPU, in f32; what its linears see is uploaded. `longest_window` in tokens. Both must outlive
// it.
std::unique_ptr<BlockRunner> make_gpu_block_runner(Device& device, const Model& model, int64_t longest_window);

}  // namespace esparse

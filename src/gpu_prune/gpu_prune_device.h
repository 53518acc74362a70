// A GPU as the place where prune_model() works.
#pragma once

#include <memory>

#include "gpu_prune/gpu_accelerator.h"
#include "gpu_prune/gpu_block_runner.h"
#include "prune/prune_model.h"

namespace esparse {

struct GpuPruneDevice {
  std::unique_ptr<BlockRunner> runner;
  std::unique_ptr<PruneAccelerator> accelerator;
  PruneDevice view() const { return {runner.get(), accelerator.get()}; }
};

// Device and model must outlive it. `longest_window` in tokens.
inline GpuPruneDevice make_gpu_prune_device(Device& device, const Model& model, int64_t longest_window) {
  return {make_gpu_block_runner(device, model, longest_window), make_gpu_accelerator(device)};
}

}  // namespace esparse

// One block of a model on a GPU at a time, and windows of hidden states that run through it.
#pragma once

#include <memory>

#include "gpu/gpu_forward.h"
#include "gpu/gpu_model.h"
#include "gpu/gpu_sequence.h"
#include "gpu/gpu_workspace.h"

namespace esparse {

// What all blocks share: memory for the activations, keys and values of one window.
class BlockStage {
 public:
  BlockStage(Device& device, const Model& model, int64_t longest_window);

  Device& device() { return device_; }
  // Copies a block to the device; makes room for its activations.
  Result<GpuBlock> upload(const DecoderBlock& block);

  // hidden f32 [tokens, hidden_size] goes there and through the block, until the observer (may be null) ends the pass.
  // What came of it stands at hidden().
  Status run(const GpuBlock& block, MatrixView<const float> hidden, GpuInputObserver* observer);
  const DeviceBytes& hidden() const { return space_.hidden; }

 private:
  Status make_room(GpuBlock& block);

  Device& device_;
  GpuModel model_;  // without weights: what they have in common
  int64_t longest_window_;
  GpuWorkspace space_;
  std::unique_ptr<GpuSequence> sequence_;
};

}  // namespace esparse

// Cosines and sines of the rotary embedding on a GPU, as the CPU computes them.
#pragma once

#include "base/status.h"
#include "gpu/device.h"
#include "model/config.h"

namespace esparse {

// Rows [positions, head_dim / 2], f32, scaled. Empty for models without rotation.
struct RotaryTable {
  DeviceBytes cosine, sine;
  int64_t positions = 0;

  static Result<RotaryTable> upload(Device& device, const ModelConfig& config, int64_t positions);
};

}  // namespace esparse

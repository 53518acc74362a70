// y = x W^T + b on the GPU for every form of weight.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "gpu/device.h"
#include "gpu/device_weight.h"

namespace esparse {

// Where a product goes: row t at data + t * stride elements, so that several weights may fill one wide buffer.
struct LinearOutput {
  void* data = nullptr;
  cuda::Element type = cuda::Element::f32;  // the weight's 16-bit type, or f32
  bool add = false;                         // y += x W^T + b; f32 alone
  int64_t stride = 0;                       // at least out_features
};

// Memory that products need in passing: one for all weights of a model, since products follow one another in the
// stream. Made once; nothing is allocated per product.
struct LinearScratch {
  DeviceBytes memory;
};
// What one product needs for up to `max_tokens` tokens.
int64_t linear_scratch_bytes(const DeviceWeight& weight, int64_t max_tokens);
// `bytes`: the most that any of the weights needs.
Result<LinearScratch> make_linear_scratch(Device& device, int64_t bytes);

// x [tokens, in_features] of weight.type, rows without gaps; bias [out_features] f32 on the device, or null; y must not
// overlap x. Sums in f32. Asynchronous, no allocation, no waiting: may be captured into a graph once the same shape has
// run before.
Status device_linear(Device& device, const DeviceWeight& weight, const void* x, int64_t tokens, const float* bias,
                     const LinearOutput& y, const LinearScratch& scratch);

}  // namespace esparse

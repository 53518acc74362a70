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
// What products of up to `max_tokens` tokens need, whatever the plan.
int64_t linear_scratch_bytes(const DeviceWeight& weight, int64_t max_tokens);
// `bytes`: the most that any of the weights needs.
Result<LinearScratch> make_linear_scratch(Device& device, int64_t bytes);

// x [tokens, in_features] of weight.type, rows without gaps; bias [out_features] f32 on the device, or null; y must not
// overlap x. Goes the way that weight.plan names for this number of tokens. Sums in f32; a 16-bit y is rounded once,
// twice where two products make it (Spense whose columns are dense) or where a bias is rounded to its type (library,
// expand). Asynchronous, no allocation, no waiting: may be captured into a graph once the same shape has run before.
// Refuses a path that this GPU or weight has not.
Status device_linear(Device& device, const DeviceWeight& weight, const void* x, int64_t tokens, const float* bias,
                     const LinearOutput& y, const LinearScratch& scratch);

}  // namespace esparse

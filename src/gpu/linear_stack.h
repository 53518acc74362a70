// Linears that read the same input, on the GPU: q, k and v; gate and up. Their outputs stand side by side.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "gpu/device.h"
#include "gpu/device_linear.h"
#include "gpu/device_weight.h"
#include "model/linear_layer.h"

namespace esparse {

// Weights whose form allows it are joined row by row into one, so that one product does for all.
class LinearStack {
 public:
  LinearStack() = default;
  // The layers' host memory may go after the call. Errors name the layer.
  static Result<LinearStack> upload(Device& device, std::span<const LinearLayer* const> layers, cuda::Element type);

  int64_t out_features() const { return out_features_; }
  int64_t bytes() const;  // of device memory
  int64_t scratch_bytes(int64_t max_tokens) const;
  // Of all parts, for plans and copies.
  std::vector<DeviceWeight*> weights() {
    std::vector<DeviceWeight*> all;
    for (Part& part : parts_) all.push_back(&part.weight);
    return all;
  }
  // The one weight of a stack of one, to be read as a table.
  const DeviceWeight& weight() const { return parts_.front().weight; }

  // y [tokens, out_features], x [tokens, in_features] of the type of the upload (device_linear.h).
  Status apply(Device& device, const void* x, int64_t tokens, const LinearOutput& y,
               const LinearScratch& scratch) const;
  // The same where rows of y follow one another without gaps.
  Status apply(Device& device, const void* x, int64_t tokens, void* y, cuda::Element y_type, bool add,
               const LinearScratch& scratch) const {
    return apply(device, x, tokens, LinearOutput{y, y_type, add, out_features_}, scratch);
  }

 private:
  struct Part {
    DeviceWeight weight;
    int64_t first_row = 0;
  };
  std::vector<Part> parts_;
  DeviceBytes bias_;  // f32 [out_features]; empty: none
  int64_t out_features_ = 0;
};

}  // namespace esparse

// A weight on the GPU: uploaded once, in the form the kernels read.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "gpu/device.h"
#include "kernels/weight.h"

namespace esparse {

// Row-major [out_features, in_features] of DeviceWeight::type.
struct DeviceDense {
  DeviceBytes data;
};

// Move-only; must not outlive its Device.
struct DeviceWeight {
  int64_t out_features = 0, in_features = 0;
  cuda::Element type = cuda::Element::bf16;  // of weights and inputs: bf16 or f16
  DeviceDense dense;

  int64_t bytes() const { return dense.data.bytes(); }  // of device memory
};

// What a weight of `dtype` becomes on the GPU: f16 stays, all others become bf16 (f32 is rounded).
cuda::Element device_element(DType dtype);

// Copies the weight to the device; the host memory may be reused after the call returns. Values of another type than
// `type` (bf16 or f16) are rounded to nearest, ties to even.
Result<DeviceWeight> upload_weight(Device& device, const WeightView& weight, cuda::Element type);

}  // namespace esparse

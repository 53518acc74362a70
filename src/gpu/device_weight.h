// A weight on the GPU: uploaded once, in the form the kernels read.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>

#include "base/status.h"
#include "gpu/device.h"
#include "gpu/device_plan.h"
#include "kernels/weight.h"

namespace esparse {

// Row-major [rows, columns], a row every `stride` elements (a multiple of 8, zeros behind the last column).
struct DeviceDense {
  DeviceBytes data;
  int64_t rows = 0, columns = 0, stride = 0;
};

// 2:4 and 1:2: docs/formats/gpu-tiles.md.
struct DeviceTiles {
  DeviceBytes data;
  int64_t rows = 0, columns = 0;
  std::unique_ptr<cuda::LibraryWeight> library_copy;  // or null
};

// Any other N:M and bitmaps, as they are at rest (sparse/bit_rows.h).
struct DeviceBits {
  DeviceBytes values, bitmask, row_offsets;
  int64_t rows = 0, columns = 0, kept_per_row = 0;
};

// Both regions, each a matrix of its own.
struct DeviceSpense {
  SpenseSplit split = SpenseSplit::out;
  std::variant<DeviceTiles, DeviceBits> sparse;
  DeviceDense dense;
};

// Move-only; must not outlive its Device.
struct DeviceWeight {
  int64_t out_features = 0, in_features = 0;
  cuda::Element type = cuda::Element::bf16;  // of weights and inputs: bf16 or f16
  std::variant<DeviceDense, DeviceTiles, DeviceBits, DeviceSpense> parts;
  int multiprocessors = 0;  // of the GPU it is on
  DevicePlan plan;          // the default one for the GPU, until somebody has measured a better one

  DeviceForm form() const;
  bool has_library_copy() const;
  int64_t bytes() const;  // of device memory, the library's copy included
};

// What a weight of `dtype` becomes on the GPU: f16 stays, all others become bf16 (f32 is rounded).
cuda::Element device_element(DType dtype);

// Copies the weight to the device; the host memory may be reused after the call returns. Values of another type than
// `type` (bf16 or f16) are rounded to nearest, ties to even. 2:4 goes there in its packed form and is rearranged on the
// device, which needs the weight's memory twice for a moment.
Result<DeviceWeight> upload_weight(Device& device, const WeightView& weight, cuda::Element type);

// Gives 2:4 and Spense of 2:4 a copy for the library's sparse product, which is faster for many tokens on some GPUs and
// takes the weight's memory once more; the plan becomes the default one with that copy. Refuses what the library does
// (no library, sides that do not suit it) and other forms. Waits; needs the dense weight's memory for a moment.
Status add_library_copy(Device& device, DeviceWeight& weight);

}  // namespace esparse

// The GPU a benchmark ran on, and its limits as measured: what shares of bandwidth and bounds refer to.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "gpu/device.h"
#include "io/json.h"

namespace esparse {

struct DeviceMachine {
  cuda::DeviceInfo gpu;
  std::string dense_library, sparse_library;  // versions; of the latter, why it is not there
  bool has_sparse_library = false;
  double copy_bytes_per_second = 0;  // read and written, both counted
  double flops_per_second = 0;       // of a square bf16 product by the dense library, random values

  // "NVIDIA H200, compute capability 9.0, ...".
  std::string line() const;
  // The least that a product can take: its bytes at the speed of a copy, or its multiplications (of those weights that
  // are kept: sparse tensor cores skip half of 2:4) at that of the dense library.
  double floor_seconds(double bytes, double flops) const;
};

struct DeviceMachineSizes {
  int64_t copy_bytes = int64_t{1} << 30;
  int64_t product_side = 8192;
};

// Medians of several runs. Needs room for twice copy_bytes, which it gives back.
Result<DeviceMachine> measure_device(Device& device, const DeviceMachineSizes& sizes);

Json device_machine_json(const DeviceMachine& machine);

}  // namespace esparse

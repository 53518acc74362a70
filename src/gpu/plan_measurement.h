// Finds by measuring which path (device_plan.h) is fastest for each kind of weight and number of tokens on this GPU:
// what runtime/plan_search.h does on the CPU.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "gpu/device.h"
#include "gpu/device_weight.h"

namespace esparse {

struct PathTime {
  DevicePath path = DevicePath::library;
  double seconds = 0;
};

// Weights of one form, type and shape: they share a plan.
struct DevicePlanRow {
  struct Choice {
    int64_t tokens = 0;           // that were measured
    std::vector<PathTime> times;  // of all possible paths
    double dense_seconds = 0;     // the library on a dense weight of this shape; 0 where the weight is dense itself
  };
  DeviceForm form = DeviceForm::dense;
  cuda::Element type = cuda::Element::bf16;
  int64_t out_features = 0, in_features = 0;
  int64_t weights = 0;  // of the model
  DevicePlan plan;
  std::array<Choice, kTokenBuckets.size()> choices;

  // How many times as fast as dense the chosen path is; 0 where there is nothing to compare with.
  double speedup(size_t bucket) const;
};

struct PlanMeasurementOptions {
  int64_t max_tokens = 2048;  // of a pass; the last bucket is measured with half of it at most
  int rounds = 7;
};

// Sets the plan of every weight and says what was found, in the order of the weights. Inputs are random, weights cold
// (kernels/cuda/cold_timing.h); the default plan is left only for what is at least 3 % faster. Allocates x, y, scratch
// and a dense weight of each shape for the time it takes.
Result<std::vector<DevicePlanRow>> measure_device_plans(Device& device, std::span<DeviceWeight* const> weights,
                                                        const PlanMeasurementOptions& options);

}  // namespace esparse

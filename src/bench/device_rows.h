// What linears take on a GPU, sparse against dense and against the vendor's sparse library, shape by shape: the table
// of `esparse bench --device cuda --shapes`.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/device_machine.h"
#include "bench/linear_rows.h"
#include "gpu/device.h"
#include "io/json.h"

namespace esparse {

struct DeviceBenchOptions {
  LinearBenchOptions linear;    // dtype bf16 or f16
  int64_t cold_bytes = 0;       // that the copies of a weight span; 0: four times the L2 cache
  double turn_seconds = 0.002;  // about, of one contender in one turn
  DeviceMachineSizes sizes;
};

// Medians over the turns, in which the fastest of each side and a copy on the device run once each.
struct DeviceRow {
  LinearShape shape;
  std::string pattern;
  int64_t tokens = 0;
  DType dtype = DType::bf16;
  double dense_seconds = 0, sparse_seconds = 0;
  std::optional<double> library_seconds;  // the sparse library's, where it takes the weight
  // Medians of the ratios of each turn, and the median absolute deviation of the first.
  double speedup = 0, speedup_mad = 0;
  std::optional<double> speedup_over_library;
  int64_t weight_bytes = 0, dense_bytes = 0;  // that the fastest sparse and dense kernels read of the weight
  int64_t activation_bytes = 0;               // x read and y written once
  double kept = 1;                            // share of the weights that are multiplied
  int repetitions = 0;
  std::string kernel, dense_kernel, library_kernel;

  double bytes_per_second() const { return static_cast<double>(weight_bytes + activation_bytes) / sparse_seconds; }
  // As if the weight were dense.
  double flops() const { return 2.0 * static_cast<double>(tokens * shape.out_features * shape.in_features); }
};

struct DeviceReport {
  DeviceMachine machine;
  std::vector<DeviceRow> rows;
};

// The rows of each shape and pattern, tokens innermost; `on_row` sees each when it is done. Every contender is checked
// before it is timed (check_device_contender), and runs in a graph.
Result<DeviceReport> bench_device(Device& device, const DeviceBenchOptions& options,
                                  const std::function<void(const DeviceRow&)>& on_row);

std::string device_report_text(const DeviceReport& report);
// {"machine": {...}, "rows": [...]}, keys as in linear_rows_json() where they mean the same.
Json device_report_json(const DeviceReport& report);

}  // namespace esparse

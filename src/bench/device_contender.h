// A way to compute y = x W^T on a GPU that a benchmark runs, and the proof that it computes that.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/bench_pattern.h"
#include "bench/contender.h"
#include "gpu/device.h"

namespace esparse {

struct DeviceContender {
  std::string kernel;
  int64_t weight_bytes = 0;   // that one run reads
  bool rounds_parts = false;  // y is the sum of parts that were rounded to 16 bits each
  int64_t copies = 1;         // of the weight, which take turns so that each run finds its own out of the cache
  // Gives the stream one product with that copy, into DeviceOperands::y.
  std::function<Status(int64_t copy)> run = nullptr;
};

// The activations of one product on the device, in 16 bits, as the engine has them.
struct DeviceOperands {
  // `product` stays the reference: its x is rounded to `type`. It must outlive the result.
  static Result<DeviceOperands> create(Device& device, Product& product, cuda::Element type);
  int64_t bytes() const;  // of x and y, each once

  Product* product = nullptr;
  cuda::Element type = cuda::Element::bf16;
  int64_t tokens = 0, in = 0, out = 0;
  int64_t padded_tokens = 0;  // rows that x and y have, for libraries that want multiples; those beyond `tokens` are 0
  DeviceBytes x, y;
};

// check_contender() on a GPU: runs it once with the first copy, every output being NaN before.
Status check_device_contender(Device& device, const DeviceContender& contender, const BenchPattern& pattern,
                              DeviceOperands& operands);

// A contender in a graph of many runs, one copy after the other; on a backend without graphs one run of
// each.
class DeviceRuns {
 public:
  // Runs each copy once before, so that libraries have found their algorithms. About `seconds` a time.
  static Result<DeviceRuns> create(Device& device, const DeviceContender& contender, double seconds);
  DeviceRuns(DeviceRuns&& other) noexcept;
  DeviceRuns& operator=(DeviceRuns&&) = delete;
  ~DeviceRuns();

  // Of one run: that of all, divided.
  Result<double> seconds_per_run();

 private:
  DeviceRuns(Device& device, const DeviceContender& contender) : device_(&device), contender_(&contender) {}
  Status run_all();
  Status make(double seconds);

  Device* device_;
  const DeviceContender* contender_;
  int64_t runs_ = 0;
  cuda::Graph graph_ = nullptr;
  cuda::Event first_ = nullptr, last_ = nullptr;
};

}  // namespace esparse

// One random weight on the GPU in the forms that libraries and our kernels read it in, several times over: used in
// turn, every use finds its copy out of the cache, as a model larger than it does.
#pragma once

#include <memory>
#include <vector>

#include "bench/device_contender.h"
#include "bench/random_weight.h"
#include "gpu/device_linear.h"

namespace esparse {

// `weights` and `operands` must outlive the contenders that the functions make.
class DeviceColdWeights {
 public:
  // Of `values` with the pattern applied; copies span at least `cold_bytes` (64 copies at most).
  static Result<DeviceColdWeights> create(Device& device, const Matrix<float>& values, DType dtype,
                                          const BenchPattern& pattern, int64_t cold_bytes);

  // By the dense library, on rows of all weights, zeros too.
  Result<std::vector<DeviceContender>> dense_library(DeviceOperands& operands);
  // By the sparse library: none where it is not there or does not take the weight, which is no error.
  Result<std::vector<DeviceContender>> sparse_library(DeviceOperands& operands);
  // Ours, one for each way that is possible.
  Result<std::vector<DeviceContender>> ours(DeviceOperands& operands);

 private:
  explicit DeviceColdWeights(Device& device) : device_(&device) {}
  Status make_rows();
  int64_t copies_of(int64_t bytes) const;

  Device* device_;
  int64_t cold_bytes_ = 0;
  BenchPattern pattern_;
  StoredWeight stored_;
  cuda::Element type_ = cuda::Element::bf16;
  int64_t out_ = 0, in_ = 0;
  // Made when they are first asked for.
  std::vector<DeviceBytes> rows_;
  std::vector<std::unique_ptr<cuda::LibraryWeight>> library_;
  std::vector<DeviceWeight> ours_;
  LinearScratch scratch_;
};

}  // namespace esparse

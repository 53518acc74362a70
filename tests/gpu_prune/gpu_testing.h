// A device of the backend that tests run on, and matrices on it.
#pragma once

#include <memory>

#include <gtest/gtest.h>

#include "base/dtype.h"
#include "base/matrix.h"
#include "gpu/device.h"
#include "kernels/cuda/statistics.h"
#include "kernels/cuda/test_backend.h"

namespace esparse {

inline std::unique_ptr<Device> open_test_device(const cuda::Backend& backend = cuda::test_backend()) {
  auto device = Device::open(backend);
  EXPECT_TRUE(device.ok()) << device.status().message();
  return std::move(device).value();
}

// A matrix on the device, rounded to `type`; rounded() is what it holds.
class DeviceMatrix {
 public:
  DeviceMatrix(Device& device, const Matrix<float>& values, cuda::Element type) : values_(values), type_(type) {
    const DType dtype = type == cuda::Element::bf16  ? DType::bf16
                        : type == cuda::Element::f16 ? DType::f16
                                                     : DType::f32;
    std::vector<std::byte> bytes(values.values().size() * dtype_bytes(dtype));
    convert_from_f32(dtype, values.values(), bytes.data());
    convert_to_f32(dtype, bytes.data(), values_.values());
    auto memory = device.upload(bytes, "test");
    EXPECT_TRUE(memory.ok());
    memory_ = std::move(memory).value();
  }
  const Matrix<float>& rounded() const { return values_; }
  cuda::DeviceRows rows() const { return {memory_.data(), type_, values_.rows(), values_.cols(), values_.cols()}; }
  const float* as_f32() const { return memory_.as<float>(); }

 private:
  Matrix<float> values_;
  cuda::Element type_;
  DeviceBytes memory_;
};

}  // namespace esparse

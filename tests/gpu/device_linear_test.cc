// Linears of the emulated GPU against plain loops in double.
#include "gpu/device_linear.h"

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/emulated/backend_emulated.h"

namespace esparse {
namespace {

using cuda::Element;

std::vector<float> random_values(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

DType dtype_of(Element type) {
  return type == Element::f32 ? DType::f32 : type == Element::f16 ? DType::f16 : DType::bf16;
}
std::vector<std::byte> as_bytes_of(DType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * static_cast<size_t>(dtype_bytes(type)));
  convert_from_f32(type, values, bytes.data());
  return bytes;
}
std::vector<float> as_floats(DType type, const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / static_cast<size_t>(dtype_bytes(type)));
  convert_to_f32(type, bytes.data(), values);
  return values;
}

struct Shape {
  int64_t tokens, in, out;
};

// One product of the dense matrix `w` that `weight` stands for; every kind of output.
void check_linear(Device& device, const WeightView& view, const std::vector<float>& w, Element type, Shape shape) {
  auto weight = upload_weight(device, view, type);
  ASSERT_TRUE(weight.ok()) << weight.status().message();
  auto scratch = make_linear_scratch(device, linear_scratch_bytes(*weight, shape.tokens));
  ASSERT_TRUE(scratch.ok());
  const DType dtype = dtype_of(type);
  const auto x_bytes = as_bytes_of(dtype, random_values(shape.tokens * shape.in, 2));
  const std::vector<float> x = as_floats(dtype, x_bytes), bias = random_values(shape.out, 3);
  const std::vector<float> before = random_values(shape.tokens * (shape.out + 3), 4);
  auto x_device = device.upload(x_bytes, "x");
  auto bias_device = device.upload(std::as_bytes(std::span(bias)), "bias");
  for (const bool with_bias : {false, true})
    for (const auto& [y_type, add] : {std::pair(Element::f32, false), {Element::f32, true}, {type, false}}) {
      const DType y_dtype = dtype_of(y_type);
      auto y_device = device.upload(as_bytes_of(y_dtype, before), "y");
      const int64_t stride = shape.out + 3;
      const Status status =
          device_linear(device, *weight, x_device->data(), shape.tokens, with_bias ? bias_device->as<float>() : nullptr,
                        {y_device->data(), y_type, add, stride}, *scratch);
      ASSERT_TRUE(status.ok()) << status.message();
      std::vector<std::byte> y_bytes(static_cast<size_t>(y_device->bytes()));
      ASSERT_TRUE(device.download(y_bytes, y_device->data()).ok());
      const std::vector<float> y = as_floats(y_dtype, y_bytes),
                               start = as_floats(y_dtype, as_bytes_of(y_dtype, before));
      for (int64_t t = 0; t < shape.tokens; ++t) {
        for (int64_t o = 0; o < shape.out; ++o) {
          double sum = 0, magnitude = 0;
          for (int64_t k = 0; k < shape.in; ++k) {
            const double product = double{w[o * shape.in + k]} * x[t * shape.in + k];
            sum += product, magnitude += std::abs(product);
          }
          if (with_bias) sum += bias[o], magnitude += std::abs(bias[o]);
          if (add) sum += before[t * stride + o], magnitude += std::abs(before[t * stride + o]);
          // f32 sums of shape.in terms; a 16-bit y is rounded, and so may its bias be.
          const double unit = y_type == Element::f32 ? 0 : y_type == Element::f16 ? 0x1p-11 : 0x1p-8;
          const double slack = magnitude * static_cast<double>(shape.in + 4) * 0x1p-23 +
                               unit * (std::abs(sum) + (with_bias ? std::abs(bias[o]) : 0));
          ASSERT_NEAR(y[t * stride + o], sum, slack)
              << "[" << shape.tokens << ", " << shape.in << ", " << shape.out << "] bias " << with_bias << " add "
              << add << " type " << static_cast<int>(y_type) << " at " << t << ", " << o;
        }
        for (int64_t gap = shape.out; gap < stride; ++gap)
          ASSERT_EQ(y[t * stride + gap], start[t * stride + gap]) << "written between the rows";
      }
    }
}

class DeviceLinear : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Device::open(cuda::emulated_backend());
    ASSERT_TRUE(opened.ok());
    device_ = std::move(*opened);
  }
  std::unique_ptr<Device> device_;
};

TEST_F(DeviceLinear, DenseOfEveryType) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const Shape shape : {Shape{1, 64, 33}, {3, 31, 16}, {9, 100, 7}}) {
      const Element type = device_element(dtype);
      const auto bytes = as_bytes_of(dtype, random_values(shape.in * shape.out, 1));
      const auto rounded = as_bytes_of(dtype_of(type), as_floats(dtype, bytes));
      check_linear(*device_, DenseView{dtype, shape.out, shape.in, bytes.data()}, as_floats(dtype_of(type), rounded),
                   type, shape);
    }
}

TEST_F(DeviceLinear, WrongOutputsAreRefused) {
  const auto bytes = as_bytes_of(DType::bf16, random_values(64, 1));
  auto weight = upload_weight(*device_, DenseView{DType::bf16, 8, 8, bytes.data()}, Element::bf16);
  auto y = device_->allocate(1024, "y");
  const LinearScratch scratch;
  auto message = [&](LinearOutput output) {
    return device_linear(*device_, *weight, y->data(), 1, nullptr, output, scratch).message();
  };
  EXPECT_NE(message({y->data(), Element::f16, false, 8}).find("neither f32 nor"), std::string::npos);
  EXPECT_NE(message({y->data(), Element::bf16, true, 8}).find("only f32 can be added to"), std::string::npos);
  EXPECT_NE(message({y->data(), Element::f32, false, 7}).find("stride of 7"), std::string::npos);
}

}  // namespace
}  // namespace esparse

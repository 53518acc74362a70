#include "gpu/device_linear.h"

#include "kernels/cuda/linear_parts.h"

namespace esparse {
namespace {

Status check(const DeviceWeight& weight, const LinearOutput& y) {
  if (y.type != weight.type && y.type != cuda::Element::f32)
    return internal_error("device_linear: y is neither f32 nor of the type of x");
  if (y.add && y.type != cuda::Element::f32) return internal_error("device_linear: only f32 can be added to");
  if (y.stride < weight.out_features)
    return internal_error("device_linear: rows of {} do not fit into a stride of {}", weight.out_features, y.stride);
  return {};
}

// The library has no bias of f32, so that one is written to y first and the product added to it.
Status by_library(Device& device, const DeviceWeight& weight, const void* x, int64_t tokens, const float* bias,
                  const LinearOutput& y) {
  const cuda::Backend& backend = device.backend();
  if (backend.gemm == nullptr) return unsupported("{}: this build has no library for dense products", backend.name);
  bool add = y.add;
  if (bias != nullptr) {
    const cuda::BiasArgs args{bias, y.data, y.stride, tokens, weight.out_features, y.type, y.add};
    ESPARSE_RETURN_IF_ERROR(
        device.launched(backend.linear_parts->bias(args, device.stream()), "bias", {tokens, weight.out_features}));
    add = true;
  }
  cuda::GemmArgs args;
  args.x = x, args.w = weight.dense.data.data(), args.y = y.data;
  args.tokens = tokens, args.in = weight.in_features, args.out = weight.out_features;
  args.x_stride = args.w_stride = weight.in_features, args.y_stride = y.stride;
  args.type = weight.type, args.y_type = y.type, args.add = add;
  return backend.gemm->gemm(args, device.stream());
}

}  // namespace

int64_t linear_scratch_bytes(const DeviceWeight&, int64_t) { return 0; }

Result<LinearScratch> make_linear_scratch(Device& device, int64_t bytes) {
  LinearScratch scratch;
  ESPARSE_ASSIGN_OR_RETURN(scratch.memory, device.allocate(bytes, "scratch memory of linears"));
  return scratch;
}

Status device_linear(Device& device, const DeviceWeight& weight, const void* x, int64_t tokens, const float* bias,
                     const LinearOutput& y, const LinearScratch&) {
  ESPARSE_RETURN_IF_ERROR(check(weight, y));
  if (tokens == 0) return {};
  return by_library(device, weight, x, tokens, bias, y);
}

}  // namespace esparse

#include "gpu/device_weight.h"

#include <algorithm>
#include <vector>

namespace esparse {
namespace {

DType host_type(cuda::Element type) { return type == cuda::Element::f16 ? DType::f16 : DType::bf16; }

// The values in another type, some rows at a time so that the f32 copy stays small.
std::vector<std::byte> converted(DType from, const std::byte* source, int64_t count, DType to) {
  constexpr int64_t kRun = 1 << 16;
  std::vector<std::byte> target(static_cast<size_t>(count * dtype_bytes(to)));
  std::vector<float> values(static_cast<size_t>(std::min(count, kRun)));
  for (int64_t first = 0; first < count; first += kRun) {
    const auto run = std::span(values).first(static_cast<size_t>(std::min(kRun, count - first)));
    convert_to_f32(from, source + first * dtype_bytes(from), run);
    convert_from_f32(to, run, target.data() + first * dtype_bytes(to));
  }
  return target;
}

Result<DeviceBytes> upload_values(Device& device, DType from, const std::byte* source, int64_t count,
                                  cuda::Element type) {
  const DType to = host_type(type);
  if (from == to) return device.upload(std::span(source, static_cast<size_t>(count * dtype_bytes(from))), "weight");
  return device.upload(converted(from, source, count, to), "weight");
}

}  // namespace

cuda::Element device_element(DType dtype) { return dtype == DType::f16 ? cuda::Element::f16 : cuda::Element::bf16; }

Result<DeviceWeight> upload_weight(Device& device, const WeightView& weight, cuda::Element type) {
  if (type == cuda::Element::f32) return invalid_argument("weight on a GPU: type must be bf16 or f16, got f32");
  const auto* dense = std::get_if<DenseView>(&weight);
  if (dense == nullptr) return unsupported("weight on a GPU: expected a dense weight");
  DeviceWeight result;
  result.out_features = dense->out_features, result.in_features = dense->in_features, result.type = type;
  ESPARSE_ASSIGN_OR_RETURN(result.dense.data, upload_values(device, dense->dtype, dense->data,
                                                            dense->out_features * dense->in_features, type));
  return result;
}

}  // namespace esparse

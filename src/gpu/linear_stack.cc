#include "gpu/linear_stack.h"

#include <algorithm>

#include "gpu/join_weights.h"

namespace esparse {
namespace {

Result<DeviceBytes> upload_bias(Device& device, std::span<const LinearLayer* const> layers, int64_t out_features) {
  const bool any = std::ranges::any_of(layers, [](const LinearLayer* layer) { return !layer->bias().empty(); });
  if (!any) return DeviceBytes();
  std::vector<float> bias;
  for (const LinearLayer* layer : layers) {
    bias.insert(bias.end(), layer->bias().begin(), layer->bias().end());
    if (layer->bias().empty()) bias.resize(bias.size() + static_cast<size_t>(layer->out_features()));
  }
  ESPARSE_CHECK(std::ssize(bias) == out_features);
  return device.upload(std::as_bytes(std::span(bias)), "biases");
}

}  // namespace

Result<LinearStack> LinearStack::upload(Device& device, std::span<const LinearLayer* const> layers,
                                        cuda::Element type) {
  LinearStack stack;
  std::vector<WeightView> views;
  for (const LinearLayer* layer : layers) views.push_back(layer->weight());
  const auto add = [&](const WeightView& view, const std::string& name) -> Status {
    auto weight = upload_weight(device, view, type);
    if (!weight.ok()) return weight.status().with_context(name);
    stack.parts_.push_back({std::move(weight).value(), stack.out_features_});
    stack.out_features_ += weight_out_features(view);
    return {};
  };
  const auto joined = views.size() > 1 ? join_weights(views) : std::nullopt;
  if (joined) {
    ESPARSE_RETURN_IF_ERROR(add(joined->view, layers[0]->name()));
    ESPARSE_RETURN_IF_ERROR(device.synchronize());  // the joined rows go
  } else {
    for (size_t i = 0; i < views.size(); ++i) ESPARSE_RETURN_IF_ERROR(add(views[i], layers[i]->name()));
  }
  ESPARSE_ASSIGN_OR_RETURN(stack.bias_, upload_bias(device, layers, stack.out_features_));
  return stack;
}

int64_t LinearStack::bytes() const {
  int64_t bytes = bias_.bytes();
  for (const Part& part : parts_) bytes += part.weight.bytes();
  return bytes;
}

int64_t LinearStack::scratch_bytes(const Device& device, int64_t max_tokens) const {
  int64_t most = 0;
  for (const Part& part : parts_) most = std::max(most, linear_scratch_bytes(device, part.weight, max_tokens));
  return most;
}

Status LinearStack::apply(Device& device, const void* x, int64_t tokens, const LinearOutput& y,
                          const LinearScratch& scratch) const {
  for (const Part& part : parts_) {
    LinearOutput target = y;
    target.data = static_cast<std::byte*>(y.data) + part.first_row * cuda::element_bytes(y.type);
    const float* bias = bias_.bytes() > 0 ? bias_.as<float>() + part.first_row : nullptr;
    ESPARSE_RETURN_IF_ERROR(device_linear(device, part.weight, x, tokens, bias, target, scratch));
  }
  return {};
}

}  // namespace esparse

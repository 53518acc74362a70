#include "gpu/gpu_model.h"

#include <algorithm>
#include <array>

#include "base/progress.h"

namespace esparse {
namespace {

cuda::Element element_of(DType dtype) { return dtype == DType::f32 ? cuda::Element::f32 : device_element(dtype); }

template <typename T>
Status upload_vector(Device& device, const std::vector<T>& values, DeviceBytes& target) {
  ESPARSE_ASSIGN_OR_RETURN(target, device.upload(std::as_bytes(std::span(values)), "norms and channel orders"));
  return {};
}
Status upload_norm(Device& device, const Norm& from, GpuNorm& to) {
  ESPARSE_RETURN_IF_ERROR(upload_vector(device, from.gain, to.gain));
  return upload_vector(device, from.bias, to.bias);
}

// Copies what stands around the linears, and counts.
class Upload {
 public:
  Upload(Device& device, const Model& model, GpuModel& target) : device_(device), model_(model), target_(target) {}

  Status run() {
    target_.config = model_.config();
    target_.type = gpu_element(model_);
    ESPARSE_RETURN_IF_ERROR(ends());
    Progress progress("Uploading", model_.config().num_layers);
    for (int64_t layer = 0; layer < model_.config().num_layers; ++layer) {
      ESPARSE_ASSIGN_OR_RETURN(GpuBlock block, GpuBlock::upload(device_, model_.blocks()[layer], target_.type));
      target_.memory.weights += block.bytes();
      target_.memory.linears += block.linear_bytes();
      target_.blocks.push_back(std::move(block));
      ESPARSE_RETURN_IF_ERROR(device_.synchronize());
      model_.release_block_pages(layer);
      progress.advance();
    }
    return {};
  }

 private:
  Status single(const LinearLayer* layer, LinearStack& to) {
    ESPARSE_ASSIGN_OR_RETURN(to, LinearStack::upload(device_, std::span(&layer, 1), target_.type));
    target_.memory.weights += to.bytes();
    return {};
  }

  Status table(const LinearLayer& from, GpuTable& to) {
    const auto& dense = std::get<DenseView>(from.weight());
    const auto bytes = std::span(dense.data, static_cast<size_t>(dense.out_features * dense.row_bytes()));
    auto uploaded = device_.upload(bytes, "embeddings");
    if (!uploaded.ok()) return uploaded.status().with_context(from.name());
    to.owned = std::move(uploaded).value();
    to.data = to.owned.data(), to.type = element_of(dense.dtype), to.stride = dense.in_features;
    target_.memory.weights += to.owned.bytes();
    return release(from);
  }

  Status ends() {
    const ModelEnds ends = model_.ends();
    ESPARSE_RETURN_IF_ERROR(single(ends.head, target_.head));
    if (ends.head == ends.embedding) {
      const DeviceWeight& weight = target_.head.weight();
      const auto& dense = std::get<DeviceDense>(weight.parts);  // embeddings are never packed
      target_.embedding.data = dense.data.data(), target_.embedding.stride = dense.stride;
      target_.embedding.type = weight.type;
    } else {
      ESPARSE_RETURN_IF_ERROR(table(*ends.embedding, target_.embedding));
    }
    if (ends.positions != nullptr) ESPARSE_RETURN_IF_ERROR(table(*ends.positions, target_.positions));
    target_.position_offset = ends.position_offset;
    if (ends.project_in != nullptr) {
      ESPARSE_RETURN_IF_ERROR(single(ends.project_in, target_.project_in));
      ESPARSE_RETURN_IF_ERROR(single(ends.project_out, target_.project_out));
    }
    target_.has_final_norm = ends.final_norm != nullptr;
    if (ends.final_norm != nullptr) ESPARSE_RETURN_IF_ERROR(upload_norm(device_, *ends.final_norm, target_.final_norm));
    target_.memory.weights += target_.final_norm.gain.bytes() + target_.final_norm.bias.bytes();
    return release(*ends.head);
  }

  Status release(const LinearLayer& layer) {
    ESPARSE_RETURN_IF_ERROR(device_.synchronize());
    model_.checkpoint().tensors.release_pages(layer.name() + ".");
    return {};
  }

  Device& device_;
  const Model& model_;
  GpuModel& target_;
};

}  // namespace

cuda::Element gpu_element(const Model& model) {
  for (const DecoderBlock& block : model.blocks())
    for (const InputSite site : kInputSites)
      for (const LinearLayer* layer : block.linears_at(site))
        if (device_element(layer->dtype()) != cuda::Element::f16) return cuda::Element::bf16;
  return cuda::Element::f16;
}

Result<GpuBlock> GpuBlock::upload(Device& device, const DecoderBlock& from, cuda::Element type) {
  GpuBlock to;
  to.window = from.window;
  ESPARSE_RETURN_IF_ERROR(upload_norm(device, from.attention_norm, to.attention_norm));
  ESPARSE_RETURN_IF_ERROR(upload_norm(device, from.mlp_norm, to.mlp_norm));
  ESPARSE_RETURN_IF_ERROR(upload_vector(device, from.q_norm, to.q_norm));
  ESPARSE_RETURN_IF_ERROR(upload_vector(device, from.k_norm, to.k_norm));
  ESPARSE_RETURN_IF_ERROR(upload_vector(device, from.attention_order, to.attention_order));
  ESPARSE_RETURN_IF_ERROR(upload_vector(device, from.mlp_order, to.mlp_order));
  const std::pair<InputSite, LinearStack*> stacks[] = {{InputSite::attention, &to.qkv},
                                                       {InputSite::output, &to.o},
                                                       {InputSite::mlp, &to.inner},
                                                       {InputSite::down, &to.down}};
  for (const auto& [site, target] : stacks) {
    ESPARSE_ASSIGN_OR_RETURN(*target, LinearStack::upload(device, from.linears_at(site), type));
  }
  return to;
}

int64_t GpuBlock::linear_bytes() const { return qkv.bytes() + o.bytes() + inner.bytes() + down.bytes(); }

int64_t GpuBlock::bytes() const {
  int64_t bytes = linear_bytes();
  for (const DeviceBytes* part : {&attention_norm.gain, &attention_norm.bias, &mlp_norm.gain, &mlp_norm.bias, &q_norm,
                                  &k_norm, &attention_order, &mlp_order})
    bytes += part->bytes();
  return bytes;
}

int64_t GpuBlock::scratch_bytes(int64_t max_tokens) const {
  return std::max({qkv.scratch_bytes(max_tokens), o.scratch_bytes(max_tokens), inner.scratch_bytes(max_tokens),
                   down.scratch_bytes(max_tokens)});
}

Result<GpuModel> GpuModel::upload(Device& device, const Model& model) {
  GpuModel result;
  ESPARSE_RETURN_IF_ERROR(Upload(device, model, result).run());
  return result;
}

std::vector<DeviceWeight*> GpuModel::linear_weights() {
  std::vector<LinearStack*> stacks;
  for (GpuBlock& block : blocks) stacks.insert(stacks.end(), {&block.qkv, &block.o, &block.inner, &block.down});
  stacks.insert(stacks.end(), {&head, &project_in, &project_out});
  std::vector<DeviceWeight*> weights;
  for (LinearStack* stack : stacks) {
    const auto parts = stack->weights();
    weights.insert(weights.end(), parts.begin(), parts.end());
  }
  return weights;
}

int64_t GpuModel::scratch_bytes(int64_t max_tokens) const {
  int64_t most = std::max(
      {head.scratch_bytes(max_tokens), project_in.scratch_bytes(max_tokens), project_out.scratch_bytes(max_tokens)});
  for (const GpuBlock& block : blocks) most = std::max(most, block.scratch_bytes(max_tokens));
  return most;
}

}  // namespace esparse

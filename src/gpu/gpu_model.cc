#include "gpu/gpu_model.h"

#include <algorithm>
#include <array>

#include "base/progress.h"

namespace esparse {
namespace {

cuda::Element element_of(DType dtype) { return dtype == DType::f32 ? cuda::Element::f32 : device_element(dtype); }

// Copies what stands around the linears, and counts.
class Upload {
 public:
  Upload(Device& device, const Model& model, GpuModel& target) : device_(device), model_(model), target_(target) {}

  Status run() {
    target_.config = model_.config();
    target_.type = common_type();
    ESPARSE_RETURN_IF_ERROR(ends());
    Progress progress("Uploading", model_.config().num_layers);
    for (int64_t layer = 0; layer < model_.config().num_layers; ++layer) {
      GpuBlock block;
      ESPARSE_RETURN_IF_ERROR(this->block(model_.blocks()[layer], block));
      target_.blocks.push_back(std::move(block));
      ESPARSE_RETURN_IF_ERROR(device_.synchronize());
      model_.release_block_pages(layer);
      progress.advance();
    }
    return {};
  }

 private:
  // f16 where all linears are; all others are computed with in bf16.
  cuda::Element common_type() const {
    for (const DecoderBlock& block : model_.blocks())
      for (const InputSite site : kInputSites)
        for (const LinearLayer* layer : block.linears_at(site))
          if (device_element(layer->dtype()) != cuda::Element::f16) return cuda::Element::bf16;
    return cuda::Element::f16;
  }

  template <typename T>
  Status vector(const std::vector<T>& values, DeviceBytes& target) {
    ESPARSE_ASSIGN_OR_RETURN(target, device_.upload(std::as_bytes(std::span(values)), "norms and channel orders"));
    target_.memory.weights += target.bytes();
    return {};
  }
  Status norm(const Norm& from, GpuNorm& to) {
    ESPARSE_RETURN_IF_ERROR(vector(from.gain, to.gain));
    return vector(from.bias, to.bias);
  }
  Status stack(std::span<const LinearLayer* const> layers, LinearStack& to, bool of_block) {
    ESPARSE_ASSIGN_OR_RETURN(to, LinearStack::upload(device_, layers, target_.type));
    target_.memory.weights += to.bytes();
    if (of_block) target_.memory.linears += to.bytes();
    return {};
  }
  Status single(const LinearLayer* layer, LinearStack& to) { return stack(std::span(&layer, 1), to, false); }

  Status block(const DecoderBlock& from, GpuBlock& to) {
    to.window = from.window;
    ESPARSE_RETURN_IF_ERROR(norm(from.attention_norm, to.attention_norm));
    ESPARSE_RETURN_IF_ERROR(norm(from.mlp_norm, to.mlp_norm));
    ESPARSE_RETURN_IF_ERROR(vector(from.q_norm, to.q_norm));
    ESPARSE_RETURN_IF_ERROR(vector(from.k_norm, to.k_norm));
    ESPARSE_RETURN_IF_ERROR(vector(from.attention_order, to.attention_order));
    ESPARSE_RETURN_IF_ERROR(vector(from.mlp_order, to.mlp_order));
    const std::pair<InputSite, LinearStack*> stacks[] = {{InputSite::attention, &to.qkv},
                                                         {InputSite::output, &to.o},
                                                         {InputSite::mlp, &to.inner},
                                                         {InputSite::down, &to.down}};
    for (const auto& [site, target] : stacks) ESPARSE_RETURN_IF_ERROR(stack(from.linears_at(site), *target, true));
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
    if (ends.final_norm != nullptr) ESPARSE_RETURN_IF_ERROR(norm(*ends.final_norm, target_.final_norm));
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

Result<GpuModel> GpuModel::upload(Device& device, const Model& model) {
  GpuModel result;
  ESPARSE_RETURN_IF_ERROR(Upload(device, model, result).run());
  return result;
}

int64_t GpuModel::scratch_bytes(const Device& device, int64_t max_tokens) const {
  int64_t most = std::max({head.scratch_bytes(device, max_tokens), project_in.scratch_bytes(device, max_tokens),
                           project_out.scratch_bytes(device, max_tokens)});
  for (const GpuBlock& block : blocks)
    for (const LinearStack* stack : {&block.qkv, &block.o, &block.inner, &block.down})
      most = std::max(most, stack->scratch_bytes(device, max_tokens));
  return most;
}

}  // namespace esparse
